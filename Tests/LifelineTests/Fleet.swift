import CoordinationCore
import Glibc
import TestSupport
import Testing

/// A coordinator and workers as processes, with a folder of their own; all of it is gone with the object.
final class Fleet {
  let directory = TemporaryDirectory()
  private(set) var coordinator: RunningProgram?
  private(set) var url = ""
  private var workers: [RunningProgram] = []

  var store: String { directory.file("tasks.db") }

  init(coordinator options: [String] = [], workers count: Int = 1) throws {
    try startCoordinator(options)
    for number in 0..<count { try startWorker("w\(number + 1)") }
  }

  /// Starts a coordinator, at the address of the one before it if there was one.
  func startCoordinator(_ options: [String] = []) throws {
    let port = url.split(separator: ":").last.map(String.init) ?? "0"
    let program = try RunningProgram(
      ["coordinator", "--port", port, "--store", store] + options, errorFile: directory.file("coordinator.log"))
    try program.wait("listening coordinator") { $0.output.contains("\n") || $0.hasEnded }
    let words = program.output.split(separator: "\n").first.map { $0.split(separator: " ") } ?? []
    guard words.count == 3, words[0] == "listening", words[1] == "on" else {
      throw RunningProgram.Failure(description: "the coordinator said \(program.output)")
    }
    url = String(words[2])
    coordinator = program
  }

  @discardableResult
  func startWorker(_ name: String, _ options: [String] = []) throws -> RunningProgram {
    let worker = try RunningProgram(
      [
        "worker", "--worker-id", name, "--slots", "4", "--state-dir", directory.file("state"), "--reconnect-delay",
        "0.1",
        "--max-reconnect-delay", "0.2",
      ] + options, environment: environment, errorFile: directory.file("\(name).log"))
    workers.append(worker)
    return worker
  }

  /// Finds the coordinator by its environment, as a user's shell would have it.
  var environment: [String: String] { ["LIFELINE_COORDINATOR": url] }

  func start(_ arguments: [String], input: String = "") throws -> RunningProgram {
    try RunningProgram(arguments, environment: environment, input: input)
  }

  /// Runs a command to its end.
  func lifeline(_ arguments: String..., input: String = "") throws -> RunningProgram.Outcome {
    try start(arguments, input: input).end()
  }

  /// Submits one shell script and returns its id.
  func submit(_ script: String, _ options: String...) throws -> String {
    let outcome = try start(["submit"] + options + ["--", "sh", "-c", script]).end()
    #expect(outcome.status == 0, "\(outcome.errors)")
    return outcome.lines.first ?? ""
  }

  /// What `task ID --json` prints.
  func task(_ id: String) throws -> JSONObject {
    let outcome = try lifeline("task", id, "--json")
    return try #require(try JSONParser.parse(outcome.output).object, "\(outcome.errors)")
  }

  /// Asks again and again until the task is as wanted.
  @discardableResult
  func wait(for id: String, _ status: String) throws -> JSONObject {
    try wait(for: id, "status \(status)") { $0["status"] == .string(status) }
  }

  @discardableResult
  func wait(for id: String, _ what: String, _ condition: (JSONObject) -> Bool) throws -> JSONObject {
    var task = JSONObject()
    // Each question takes some milliseconds; together far more than any test needs.
    for _ in 0..<500 {
      let outcome = try lifeline("task", id, "--json")
      guard outcome.status == 0 else { continue }  // Not submitted yet.
      task = try JSONParser.parse(outcome.output).object ?? task
      if condition(task) { return task }
    }
    throw RunningProgram.Failure(description: "no \(what): \(task.text)")
  }
}

/// A file's bytes.
func contents(of path: String) -> [UInt8] {
  let descriptor = open(path, O_RDONLY)
  guard descriptor >= 0 else { return [] }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while case let count = read(descriptor, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
  return bytes
}

func write(_ bytes: [UInt8], to path: String) {
  let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  precondition(write(descriptor, bytes, bytes.count) == bytes.count, "\(path) cannot be written")
  close(descriptor)
}

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
