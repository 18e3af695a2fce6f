import CoordinationCore
import Cryptography
import Primitives
import Testing

/// Files that only the store may know: who names them waits until it has said what it has.
@Suite(.timeLimit(.minutes(5)))
struct SharedFilesTests {
  private let file = FileReference(FileDigest(SHA256.digest(of: "data")), size: 4)

  private func specification(outputs: [String] = []) throws -> TaskSpecification {
    TaskSpecification(
      name: "t", work: .command(Command(["true"])), inputs: outputs.isEmpty ? [TaskInput(path: "in", file)] : [],
      outputs: try outputs.map(GlobPattern.init))
  }

  private func know(_ bench: ClusterBench) {
    bench.cluster.core.files.add(file, usedAt: WallTime(milliseconds: 1))
  }

  @Test func `a submission that names files waits for the store's word, and asks once for each`() throws {
    let bench = try ClusterBench()
    let request = RequestID(1)
    bench.request(
      1, .submit([TaskSubmission(id: TaskID(known: "a"), try specification()), TaskSubmission(try specification())]))
    #expect(bench.searches.map(\.digests) == [[file.digest]])
    #expect(bench.answers[request] == nil)
    #expect(bench.cluster.core.waitingSubmissions == 2)
    know(bench)
    bench.handle(.coordinator(.filesFound(.request(request))))
    guard case .submitted(let ids) = bench.answers[request] else {
      Issue.record("\(String(describing: bench.answers[request]))")
      return
    }
    #expect(ids.count == 2 && ids.first == TaskID(known: "a"))
    #expect(bench.writes.count { if case .submit = $0 { true } else { false } } == 2)
    #expect(bench.cluster.core.waitingSubmissions == 0)
    // Known now.
    bench.request(2, .submit([TaskSubmission(try specification())]))
    #expect(bench.searches.count == 1)
    #expect(bench.answers[RequestID(2)] != nil)
  }

  @Test func `a task whose files nobody has is refused, with its digest`() throws {
    let bench = try ClusterBench()
    bench.request(1, .submit([TaskSubmission(try specification())]))
    bench.handle(.coordinator(.filesFound(.request(RequestID(1)))))
    guard case .refused(let reason) = bench.answers[RequestID(1)] else {
      Issue.record("\(String(describing: bench.answers[RequestID(1)]))")
      return
    }
    #expect(reason.contains(file.digest.text) && reason.contains("send it first"))
    #expect(bench.writes.isEmpty)
    #expect(bench.cluster.core.waitingSubmissions == 0)
  }

  @Test(arguments: [true, false])
  func `of one that was submitted before the files may be gone`(exists: Bool) throws {
    let bench = try ClusterBench()
    let task = TaskID(known: "a")
    bench.request(1, .submit([TaskSubmission(id: task, try specification())]))
    bench.handle(.coordinator(.filesFound(.request(RequestID(1)))))
    #expect(bench.lookups.map(\.tasks) == [[task]])
    bench.handle(.coordinator(.found(RequestID(1), exists ? [task] : [])))
    if exists {
      #expect(bench.answers[RequestID(1)] == .submitted([task]))
    } else {
      guard case .refused = bench.answers[RequestID(1)] else {
        Issue.record("\(String(describing: bench.answers[RequestID(1)]))")
        return
      }
    }
    #expect(bench.writes.isEmpty)
  }

  // MARK: Results

  private func result(_ number: Int) -> JSONObject {
    [
      "task_id": .string("t\(number)"), "attempt": 1, "status": "completed",
      "result": TaskOutput.result([TaskOutput(path: "out", file, mode: 0o644)]),
    ]
  }

  /// A worker that runs two tasks with outputs.
  private func running() throws -> ClusterBench {
    let bench = try ClusterBench()
    bench.admit(1, "w", kinds: [TaskSpecification.commandWithFiles])
    let tasks = try (1...2).map { number in
      UnfinishedTask(
        task: TaskRecord(
          id: TaskID(known: "t\(number)"), specification: try specification(outputs: ["*"]),
          submittedAt: WallTime(milliseconds: 1)), checkpoint: nil, attempt: nil)
    }
    bench.handle(.claimed(tasks))
    #expect(bench.replies(1).count { $0.kind == .taskAssignment } == 2)
    return bench
  }

  private func ends(_ bench: ClusterBench) -> [TaskStatus] {
    bench.writes.compactMap { write in
      guard case .update(_, let state) = write, state.status.isTerminal else { return nil }
      return state.status
    }
  }

  @Test func `a result whose outputs went through another coordinator counts once the store knows them`() throws {
    let bench = try running()
    bench.say(1, .taskResult, result(1), reliably: true)
    #expect(bench.searches.map(\.digests) == [[file.digest]])
    // What follows waits its turn.
    bench.say(1, .taskResult, result(2), reliably: true)
    #expect(ends(bench).isEmpty)
    know(bench)
    bench.handle(.coordinator(.filesFound(.worker(ConnectionID(1)))))
    #expect(ends(bench) == [.completed, .completed])
    #expect(bench.searches.count == 1)
    #expect(bench.closes.isEmpty)
  }

  @Test func `a result whose outputs nobody has fails, and what follows is asked about in its turn`() throws {
    let bench = try running()
    bench.say(1, .taskResult, result(1), reliably: true)
    bench.say(1, .taskResult, result(2), reliably: true)
    bench.handle(.coordinator(.filesFound(.worker(ConnectionID(1)))))
    #expect(ends(bench) == [.failed])
    #expect(bench.searches.count == 2)
    know(bench)
    bench.handle(.coordinator(.filesFound(.worker(ConnectionID(1)))))
    #expect(ends(bench) == [.failed, .completed])
  }

  @Test func `a connection that ends while its files are looked for leaves the result to the next`() throws {
    let bench = try running()
    bench.say(1, .taskResult, result(1), reliably: true)
    bench.handle(.coordinator(.disconnected(ConnectionID(1))))
    know(bench)
    bench.handle(.coordinator(.filesFound(.worker(ConnectionID(1)))))
    #expect(ends(bench).isEmpty)
    #expect(bench.cluster.core.liveTask(TaskID(known: "t1")) != nil)
  }

  @Test func `what is kept while files are looked for is bounded`() throws {
    let bench = try running()
    bench.say(1, .taskResult, result(1), reliably: true)
    for _ in 0..<1_000 { bench.say(1, .heartbeat, ["status": "running"]) }
    #expect(bench.closes.count == 1)
  }
}
