import Coordination
import CoordinationCore
import FaultProxy
import Primitives
import TestSupport
import Testing

/// A worker whose tasks write more than its line carries, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct BackpressureTests {
  /// Of the line, in a second; the task writes several times as much.
  private static let lineBytes = 1_000_000

  private struct Pair {
    let coordinator: TestCoordinator
    let relay: FaultRelay
    let worker: ScriptedWorker
    /// Parameters that the worker adapted.
    let adapted = Exchange<String>()
    let noisy: AttemptKey
    let quiet: AttemptKey

    /// Two attempts run, and one of them writes so much that output is dropped.
    init(_ adjust: (inout WorkerSettings) -> Void = { _ in }) throws {
      coordinator = try TestCoordinator { $0.core.heartbeatTimeout = .seconds(30) }
      relay = try FaultRelay(to: coordinator.address)
      relay.setBandwidth(BackpressureTests.lineBytes, .up)
      let adapted = adapted
      var settings = WorkerSettings.short("w1", relay.url, slots: 2)
      settings.heartbeatTimeout = .seconds(30)
      settings.compression = .off
      settings.log = { entry in
        if entry.message == "parameter adapted" { adapted.put(entry.facts.first?.value ?? "") }
      }
      adjust(&settings)
      worker = try ScriptedWorker(settings)
      _ = coordinator.registered("w1")
      noisy = try Self.start("noisy", coordinator, worker)
      quiet = try Self.start("quiet", coordinator, worker)
      worker.flood(noisy, piece: 64 << 10, every: .milliseconds(5))
      let task = noisy.taskID
      // Everything between the two is full once output is missing.
      var end = 0
      let _: Int = coordinator.notice { notice in
        guard case .outputAppended(task, _, _, let offset, let bytes) = notice else { return nil }
        defer { end = offset + bytes.count }
        return offset > end ? offset : nil
      }
    }

    private static func start(_ name: String, _ coordinator: TestCoordinator, _ worker: ScriptedWorker) throws
      -> AttemptKey
    {
      let id = try coordinator.submit(name)
      guard case .start(let key, _) = worker.orders.take(), key.taskID == id else { fatalError("a start was due") }
      return key
    }

    /// Where the next output of the noisy task begins.
    func nextOffset() -> Int {
      coordinator.notice { notice in
        guard case .outputAppended(noisy.taskID, _, _, let offset, _) = notice else { return nil }
        return offset
      }
    }

    /// Ends the quiet task; how much the noisy one had written when the result could leave, all of what fits waiting.
    ///
    /// A result leaves when it is on the worker's disk. The line stands still meanwhile, or on a slow disk it would have
    /// carried away what was to be overtaken.
    func endQuiet(_ ending: AttemptEnding) throws -> Int {
      relay.setBandwidth(1, .up)
      let written = worker.end(quiet, ending, whenWritten: noisy)
      try eventually("the result on disk") { worker.persisting == 0 ? true : nil }
      relay.setBandwidth(BackpressureTests.lineBytes, .up)
      return written
    }

    func stop() {
      worker.vanish()
      relay.stop()
      coordinator.stop()
    }
  }

  @Test func `heartbeats and results get through while output floods a slow line`() throws {
    let pair = try Pair()
    let worker = pair.worker
    worker.checkpoint(pair.quiet, ["step": 1])
    let written = try pair.endQuiet(AttemptEnding(.completed, result: "in time"))
    let detail = try pair.coordinator.ended(pair.quiet.taskID)
    #expect(detail.task.state.result == "in time")
    #expect(detail.checkpoints.map(\.data) == [["step": 1]])
    // It came before output that was written before it.
    #expect(pair.nextOffset() < written)
    // An answer to a heartbeat comes later than on an idle line, but it comes, and the worker adapts to that.
    while pair.adapted.take() != "heartbeat interval" {}
    #expect(worker.statistics.messagesDropped > 0)
    #expect(worker.statistics.disconnections == 0)
    pair.relay.setBandwidth(nil, .up)
    worker.end(pair.noisy, AttemptEnding(.completed, output: AttemptOutput(stdout: Array("all of it".utf8))))
    // Output on the way may have holes; what the end brings has none.
    #expect(try pair.coordinator.ended(pair.noisy.taskID).output[1]?.stdout == Array("all of it".utf8))
    pair.stop()
  }

  @Test func `without priorities a result comes after whatever was written before it`() throws {
    let pair = try Pair { $0.usesPriorities = false }
    let written = try pair.endQuiet(AttemptEnding(.completed))
    _ = try pair.coordinator.ended(pair.quiet.taskID)
    #expect(pair.nextOffset() >= written)
    pair.stop()
  }
}
