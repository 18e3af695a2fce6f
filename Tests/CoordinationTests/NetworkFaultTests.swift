import Coordination
import CoordinationCore
import FaultProxy
import Primitives
import Reactor
import TestSupport
import Testing

/// A worker behind a relay that misbehaves, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct NetworkFaultTests {
  private func fleet(lease: Duration = .seconds(5)) throws -> (TestCoordinator, FaultRelay) {
    let coordinator = try TestCoordinator { $0.useShortTimes(lease: lease) }
    return (coordinator, try FaultRelay(to: coordinator.address))
  }

  private func expectStart(_ worker: ScriptedWorker) -> AttemptKey {
    guard case .start(let key, _) = worker.orders.take() else {
      Issue.record("a start was due")
      return AttemptKey(TaskID.any, 0)
    }
    return key
  }

  @Test(arguments: [1, 2, 7, 60, 150, 400])
  func `a connection cut in the middle of a frame resumes its session and records the result once`(bytes: Int) throws {
    let (coordinator, relay) = try fleet()
    let worker = try ScriptedWorker(.short("w1", relay.url))
    let first = coordinator.registered("w1")
    let id = try coordinator.submit("cut-\(bytes)")
    let key = expectStart(worker)
    relay.cut(after: bytes, .up)
    worker.checkpoint(key, ["step": 1])
    worker.end(key, AttemptEnding(.completed, result: .string(String(repeating: "x", count: 500))))
    let second = coordinator.registered("w1")
    #expect(second.resumed)
    #expect(second.session == first.session)
    let detail = try coordinator.ended(id)
    #expect(detail.task.state.status == .completed)
    #expect(detail.attempts.map(\.outcome) == [.completed])
    #expect(detail.checkpoints.map(\.data) == [["step": 1]])
    #expect(worker.statistics.disconnections == 1)
    worker.stop()
    relay.stop()
    coordinator.stop()
  }

  @Test(arguments: [0, 1, 30, 200])
  func `a connection cut on the way down replays the assignment and starts the attempt once`(bytes: Int) throws {
    let (coordinator, relay) = try fleet()
    let worker = try ScriptedWorker(.short("w1", relay.url))
    _ = coordinator.registered("w1")
    relay.cut(after: bytes + 1, .down)
    let id = try coordinator.submit("down-\(bytes)")
    let key = expectStart(worker)
    #expect(key == AttemptKey(id, 1))
    worker.end(key, AttemptEnding(.completed))
    let detail = try coordinator.ended(id)
    #expect(detail.attempts.map(\.outcome) == [.completed])
    worker.stop()
    relay.stop()
    coordinator.stop()
  }

  @Test(arguments: [1, 40, 180])
  func `a connection cut in the middle of the handshake is tried again`(bytes: Int) throws {
    let (coordinator, relay) = try fleet()
    relay.cut(after: bytes, .up)
    let worker = try ScriptedWorker(.short("w1", relay.url))
    _ = coordinator.registered("w1")
    #expect(worker.statistics.failures >= 1)
    #expect(relay.accepted >= 2)
    let id = try coordinator.submit("after-handshake")
    worker.end(expectStart(worker), AttemptEnding(.completed))
    #expect(try coordinator.ended(id).task.state.attempt == 1)
    worker.stop()
    relay.stop()
    coordinator.stop()
  }

  @Test func `a black hole is noticed within the heartbeat bound and nothing is lost or doubled`() throws {
    let (coordinator, relay) = try fleet()
    let worker = try ScriptedWorker(.short("w1", relay.url))
    let first = coordinator.registered("w1")
    let id = try coordinator.submit("hole")
    let key = expectStart(worker)
    relay.setBlackHole(true)
    worker.checkpoint(key, ["step": 1])
    worker.checkpoint(key, ["step": 2])
    worker.end(key, AttemptEnding(.completed, result: 42))
    let _: Bool = coordinator.notice { if case .workerDisconnected = $0 { true } else { nil } }
    relay.setBlackHole(false)
    let second = coordinator.registered("w1")
    #expect(second.resumed)
    #expect(second.session == first.session)
    let detail = try coordinator.ended(id)
    #expect(detail.task.state.result == 42)
    #expect(detail.attempts.map(\.outcome) == [.completed])
    #expect(detail.checkpoints.map(\.key) == [1, 2].map { CheckpointKey(attempt: 1, number: $0) })
    worker.stop()
    relay.stop()
    coordinator.stop()
  }

  @Test func `a worker that returns after its task was given away has its late result refused and reported`() throws {
    let (coordinator, relay) = try fleet(lease: .seconds(1))
    let late = try ScriptedWorker(.short("late", relay.url))
    _ = coordinator.registered("late")
    let id = try coordinator.submit("given-away")
    let lateKey = expectStart(late)
    relay.setBlackHole(true)
    // Its result is on its disk and cannot be delivered.
    late.end(lateKey, AttemptEnding(.completed, result: "late"))
    let other = try ScriptedWorker(.short("other", coordinator.url))
    let otherKey = expectStart(other)
    #expect(otherKey == AttemptKey(id, 2))
    relay.setBlackHole(false)
    let refused = coordinator.notice { notice -> (TaskID, Int, WorkerID)? in
      guard case .staleAttemptRefused(let task, let attempt, let worker, _) = notice else { return nil }
      return (task, attempt, worker)
    }
    #expect(refused.0 == id)
    #expect(refused.1 == 1)
    #expect(refused.2.text == "late")
    other.end(otherKey, AttemptEnding(.completed, result: "in time"))
    let detail = try coordinator.ended(id)
    #expect(detail.task.state.result == "in time")
    #expect(detail.attempts.map(\.outcome) == [.lost, .completed])
    #expect(detail.attempts[0].reason.contains("worker late was silent for"))
    late.stop()
    other.stop()
    relay.stop()
    coordinator.stop()
  }

  @Test func `a worker cut off for longer than its lease stops the attempt by itself`() throws {
    let (coordinator, relay) = try fleet(lease: .seconds(1))
    let worker = try ScriptedWorker(.short("w1", relay.url))
    _ = coordinator.registered("w1")
    let id = try coordinator.submit("lease")
    let key = expectStart(worker)
    relay.setBlackHole(true)
    #expect(worker.orders.take() == .stop(key, .leaseExpired))
    relay.setBlackHole(false)
    let second = expectStart(worker)
    #expect(second == AttemptKey(id, 2))
    worker.end(second, AttemptEnding(.completed))
    #expect(try coordinator.ended(id).attempts.map(\.outcome) == [.lost, .completed])
    worker.stop()
    relay.stop()
    coordinator.stop()
  }

  @Test func `a second process with a live worker's id is refused and told why`() throws {
    let (coordinator, relay) = try fleet()
    let first = try ScriptedWorker(.short("same", coordinator.url))
    let session = coordinator.registered("same").session
    let messages = Exchange<String>()
    var settings = WorkerSettings.short("same", relay.url)
    settings.log = { entry in
      if entry.facts.contains(where: { $0.value.contains("is in use") }) { messages.put(entry.message) }
    }
    let second = try ScriptedWorker(settings)
    _ = messages.take()
    #expect(coordinator.workers.map(\.sessionID) == [session])
    let id = try coordinator.submit("one-of-two")
    first.end(expectStart(first), AttemptEnding(.completed))
    #expect(try coordinator.ended(id).attempts.count == 1)
    second.stop()
    first.stop()
    relay.stop()
    coordinator.stop()
  }

  @Test func `a forced reconnection takes the session over`() throws {
    let (coordinator, relay) = try fleet()
    let worker = try ScriptedWorker(.short("w1", relay.url))
    let first = coordinator.registered("w1")
    worker.connected()
    worker.reconnect()
    let second = coordinator.registered("w1")
    #expect(second.resumed)
    #expect(second.session == first.session)
    #expect(worker.statistics.attempts == 2)
    worker.stop()
    relay.stop()
    coordinator.stop()
  }
}

extension TaskID {
  /// For a test that has already failed and only goes on to its end.
  static var any: TaskID {
    do { return try TaskID("any") } catch { fatalError("\(error)") }
  }
}
