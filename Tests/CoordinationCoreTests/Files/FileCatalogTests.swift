import CoordinationCore
import Cryptography
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct FileCatalogTests {
  private let file = FileReference(FileDigest(SHA256.digest(of: "data")), size: 4)
  private let wall = WallTime(milliseconds: 1_700_000_000_000)

  private func specification(outputs: [String] = []) throws -> TaskSpecification {
    TaskSpecification(
      name: "t", work: .command(Command(["true"])), inputs: [TaskInput(path: "in/data", file)],
      outputs: try outputs.map(GlobPattern.init))
  }

  private func admit(_ bench: CoordinatorBench, _ connection: UInt64, _ worker: String) {
    bench.connect(connection, worker, .session)
    bench.say(
      connection, .registration,
      ["boot_id": "b", "capabilities": ["slots": 1, "kinds": ["command", "command_files"]]])
    bench.say(connection, .stateSync, ["tasks": [], "final": true], reliably: true)
  }

  private func assignments(_ bench: CoordinatorBench, _ connection: UInt64) -> Int {
    bench.replies(connection).count { $0["type"] == "task_assignment" }
  }

  @Test func `a task whose input nobody has sent is refused by the input's name`() throws {
    let bench = try CoordinatorBench()
    let submission = TaskSubmission(id: try TaskID("t"), try specification())
    bench.handle(.request(RequestID(1), .submit([submission])))
    guard case .refused(let reason)? = bench.answers.last else { return #expect(Bool(false), "\(bench.answers)") }
    #expect(reason.contains("in/data") && reason.contains(file.digest.text))
    #expect(bench.core.unfinishedTasks == 0)
    bench.core.files.add(file, usedAt: wall)
    bench.handle(.request(RequestID(2), .submit([submission])))
    #expect(bench.answers.last == .submitted([try TaskID("t")]))
    #expect(bench.core.neededFiles == [file.digest: 1])
  }

  @Test func `a file of another size is not the input`() throws {
    let bench = try CoordinatorBench()
    bench.core.files.add(FileReference(file.digest, size: 5), usedAt: wall)
    bench.handle(.request(RequestID(1), .submit([TaskSubmission(try specification())])))
    guard case .refused? = bench.answers.last else { return #expect(Bool(false), "\(bench.answers)") }
  }

  @Test func `a task with files is given only to a worker that takes files`() throws {
    let bench = try CoordinatorBench()
    bench.core.files.add(file, usedAt: wall)
    bench.admit(1, "plain")
    bench.connect(2, "old", .legacy)
    bench.say(2, #"{"type":"registration","worker_id":"old","capabilities":{"kinds":["command","command_files"]}}"#)
    bench.submit("t", try specification())
    #expect(assignments(bench, 1) == 0 && assignments(bench, 2) == 0)
    admit(bench, 3, "able")
    #expect(assignments(bench, 3) == 1)
    #expect(assignments(bench, 1) == 0 && assignments(bench, 2) == 0)
  }

  @Test func `a result that names outputs counts only when they are here`() throws {
    for isHere in [true, false] {
      let bench = try CoordinatorBench()
      bench.core.files.add(file, usedAt: wall)
      admit(bench, 1, "w")
      bench.submit("t", try specification(outputs: ["*"]))
      let output = FileReference(FileDigest(SHA256.digest(of: "out")), size: 3)
      if isHere { bench.core.files.add(output, usedAt: wall) }
      let ending = AttemptEnding(
        .completed, exitCode: 0, result: TaskOutput.result([TaskOutput(path: "out.txt", output, mode: 0o644)]))
      bench.say(1, .taskResult, ending.fields(taskID: try TaskID("t"), attempt: 1), reliably: true)
      let state = bench.state("t")
      #expect(state?.status == (isHere ? .completed : .failed))
      if !isHere { #expect(state?.reason?.contains("out.txt") == true) }
      #expect(bench.core.neededFiles.isEmpty)
    }
  }

  @Test func `only what no unfinished task needs and nobody used for long is removed`() throws {
    var catalog = FileCatalog()
    let files = (0..<4).map { FileReference(FileDigest(SHA256.digest(of: "\($0)")), size: $0) }
    for (index, file) in files.enumerated() {
      catalog.add(file, usedAt: WallTime(milliseconds: wall.milliseconds - Int64(index) * 1_000))
    }
    #expect(catalog.bytes == 6)
    let expired = catalog.expired(after: .milliseconds(1_500), at: wall, needed: [files[3].digest: 1])
    #expect(expired == [files[2].digest])
    catalog.remove(files[2].digest)
    #expect(catalog.bytes == 4 && !catalog.has(files[2]) && catalog.has(files[3]))
  }
}
