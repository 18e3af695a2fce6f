import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc
import Primitives

/// The tasks that `run` and `submit` were asked for, each with an id of our own choosing, so that submitting one twice
/// changes nothing.
struct SubmissionPlan {
  struct Planned {
    let id: String
    let name: String
    /// What `submit` sends.
    let object: JSONObject
  }

  static let name = Option(
    "name", optional: .string, as: "NAME", whenMissing: "the command",
    "What the task is called; several are numbered. Tests have it as their suite.")
  static let run = Option(
    "run", optional: .string, as: "ID", whenMissing: "a new one",
    "What the tasks have in common; their ids are ID-0001 and so on. Those that exist already are not submitted again.")
  static let retries = Option(
    "retries", .integer(0...SpecificationLimits.maxRetries), default: 0, as: "N",
    "How many attempts may follow one that failed.")
  static let timeout = Option(
    "timeout", optional: .duration(.milliseconds(1)...SpecificationLimits.maxTimeout), whenMissing: "none",
    "How long one attempt may take.")
  static let priority = Option(
    "priority", .choice(TaskPriority.allCases.map(\.name)), default: TaskPriority.normal.name, as: "PRIORITY",
    "Which tasks go first.")
  static let environment = Option(
    "env", repeated: .namedText, as: "NAME=VALUE", "Set a variable in the command's environment.")
  static let directory = Option(
    "cwd", optional: .string, as: "DIR", whenMissing: "the worker's", "Where on the worker the command runs.")
  static let requirement = Option(
    "require", repeated: .string, as: "CONDITION",
    "What the worker's labels must be like: gpu=1, zone=eu,us (one of them), memory_mb>=2048, fast (it is there), !arm (it is "
      + "not).")
  static let slots = Option(
    "task-slots", .integer(1...SpecificationLimits.maxSlots), default: 1, as: "N",
    "How many of its worker's slots each task takes.")
  static let ownDirectory = Option(
    flag: "workdir", "Run each attempt in a fresh folder of its own, which is removed after it.")
  static let maxDirectoryBytes = Option(
    "workdir-max-bytes", optional: .integer(1...Int(OwnDirectory.maxBytesLimit)), as: "N",
    whenMissing: "\(OwnDirectory.defaultMaxBytes)",
    "The same, and how much the folder may hold before the command is ended.")

  static let options: [any DeclaredOption] =
    [
      name, run, retries, timeout, priority, environment, directory, ownDirectory, maxDirectoryBytes, requirement,
      slots,
    ] + InputFiles.options
  static let passthrough = Passthrough(
    "COMMAND [ARG…]", "The command. Without one, each line of standard input that is not empty is a command for sh.")

  private static let maxInputBytes = 256 << 20
  private static let maxTasks = 1_000_000

  let run: String
  let tasks: [Planned]
  /// One command on the command line, whose output is wanted.
  let isSingle: Bool
  /// The run was named by the user, so that some of its tasks may exist.
  let mayExist: Bool
  /// What is sent before the tasks that need it.
  private let files: InputFiles

  init(_ invocation: Invocation) throws(UsageError) {
    let run = invocation[Self.run] ?? "run-\(Surroundings.randomText(8))"
    // The longest id that is made of it must be an id too.
    do { _ = try TaskID("\(run)-\(Self.maxTasks)") } catch { throw invocation.error("--run: \(error)") }
    let isSingle = !invocation.passthrough.isEmpty
    let commands = isSingle ? [invocation.passthrough] : try Self.readCommands(invocation)
    guard commands.count <= Self.maxTasks else {
      throw invocation.error("\(commands.count) commands; at most \(Self.maxTasks) can be submitted at once")
    }
    var common = try Self.common(invocation)
    common["run"] = .string(run)
    files = try InputFiles(invocation)
    for member in files.fields.members { common[member.key] = member.value }

    var tasks: [Planned] = []
    for (index, command) in commands.enumerated() {
      let digits = "\(index + 1)"
      let id = "\(run)-\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits)"
      var object = common
      object["command"] = .array(command.map(JSONValue.string))
      if let name = invocation[Self.name] { object["name"] = .string(isSingle ? name : "\(name)-\(digits)") }
      let specification: TaskSpecification
      // Found out here, before anything was submitted, rather than by the coordinator in the middle of it.
      do { specification = try TaskSpecification(json: object) } catch {
        throw invocation.error((isSingle ? "" : "command \(digits): ") + "\(error)")
      }
      object["task_id"] = .string(id)
      tasks.append(Planned(id: id, name: specification.name, object: object))
    }
    self.run = run
    self.tasks = tasks
    self.isSingle = isSingle
    mayExist = invocation[Self.run] != nil
  }

  /// What the options say about every task.
  static func common(_ invocation: Invocation) throws(UsageError) -> JSONObject {
    var common = JSONObject()
    if invocation[retries] > 0 { common["retries"] = .integer(Int64(invocation[retries])) }
    if let timeout = invocation[timeout] { common["timeout_s"] = .duration(timeout) }
    if invocation[priority] != TaskPriority.normal.name { common["priority"] = .string(invocation[priority]) }
    var variables = JSONObject()
    for variable in invocation[environment] { variables[variable.name] = .string(variable.value) }
    if !variables.isEmpty { common["env"] = .object(variables) }
    if let directory = invocation[directory] { common["cwd"] = .string(directory) }
    if let bytes = invocation[maxDirectoryBytes] {
      common["workdir"] = ["max_bytes": .integer(Int64(bytes))]
    } else if invocation[ownDirectory] {
      common["workdir"] = true
    }
    var requirements = Requirements()
    for text in invocation[requirement] {
      do throws(MessageError) { try requirements.add(argument: text) } catch {
        throw invocation.error("--require: \(error)")
      }
    }
    if !requirements.isEmpty { common["requires"] = .object(requirements.json) }
    if invocation[slots] != 1 { common["slots"] = .integer(Int64(invocation[slots])) }
    return common
  }

  /// Calls `body` unless some of the ids stand for other commands already: submitting them would silently do nothing.
  func checkExisting(in session: ClientSession, then body: @escaping () -> Void) {
    let body = { [files] in files.send(in: session, then: body) }
    guard mayExist else { return body() }
    var planned: [String: JSONValue] = [:]
    for task in tasks { planned[task.id] = task.object["command"] }
    session.list(["run": .string(run)]) { page in
      for task in page {
        guard let id = task["task_id"]?.string, let command = planned[id], command != task["command"] else { continue }
        return session.fail(
          "task \(id) exists and is another command, \(task["command"]?.text ?? "none"); choose another --run")
      }
    } end: {
      if !session.isFinished { body() }
    }
  }

  private static func readCommands(_ invocation: Invocation) throws(UsageError) -> [[String]] {
    try readLines("commands", invocation).map { ["sh", "-c", $0] }
  }

  /// The lines of standard input that are not blank.
  static func readLines(_ what: String, _ invocation: Invocation) throws(UsageError) -> [String] {
    if isatty(STDIN_FILENO) == 1 {
      Console.standard.remark("Reading \(what), one a line; Ctrl-D ends the list.")
    }
    guard let bytes = StandardInput.read(maxBytes: maxInputBytes) else {
      throw invocation.error("standard input cannot be read, or has more than \(maxInputBytes >> 20) MiB")
    }
    var lines: [String] = []
    for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      let content = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      guard content.contains(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }) else { continue }
      guard let text = String(validating: content, as: UTF8.self) else {
        throw invocation.error("line \(index + 1) of standard input is not UTF-8")
      }
      lines.append(text)
    }
    return lines
  }
}
