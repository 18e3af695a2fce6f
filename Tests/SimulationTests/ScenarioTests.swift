@testable import Simulation
import CoordinationCore
import Primitives
import Testing

/// What the fleet does in the situations that its users were promised something about.
@Suite(.timeLimit(.minutes(10)))
struct ScenarioTests {
  private func fleet(workers: Int = 2, slots: Int = 2, _ change: (inout SimulationOptions) -> Void = { _ in })
    -> SimulatedFleet
  {
    var options = SimulationOptions()
    options.workers = workers
    options.slots = slots
    change(&options)
    let fleet = SimulatedFleet(options)
    fleet.startAll()
    fleet.run(for: .milliseconds(500))
    return fleet
  }

  private func attempts(_ fleet: SimulatedFleet, _ id: TaskID) -> Int { fleet.starts.keys.count { $0.taskID == id } }

  private func expectSound(_ fleet: SimulatedFleet, _ location: SourceLocation = #_sourceLocation) {
    #expect(fleet.violations == [], sourceLocation: location)
  }

  @Test
  func `tasks run once each and leave nothing behind`() {
    let fleet = fleet()
    let ids = (1...6).map { fleet.submit("t\($0)", work()) }
    #expect(fleet.run(for: .seconds(20)) { ids.allSatisfy { fleet.store.status($0) == .completed } })
    fleet.run(for: .seconds(1))
    #expect(fleet.starts.count == 6)
    #expect(ids.allSatisfy { fleet.store[$0]?.record.state.result == ["done": 5] })
    #expect(fleet.workers.allSatisfy { $0.disk.isEmpty && $0.executors.isEmpty })
    #expect(Set(fleet.starts.values.map(\.worker)).count == 2)
    expectSound(fleet)
  }

  // MARK: Connections

  @Test
  func `a cut connection resumes its session and its tasks go on undisturbed`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 10))
    for number in 1...20 {
      fleet.workers[0].handles(.send(Message("probe", ["number": .integer(Int64(number))]), reliably: true))
      fleet.run(for: .milliseconds(50))
      if number % 4 == 0 { fleet.workers[0].link?.cut() }
    }
    #expect(fleet.runUntil(id, is: .completed))
    #expect(fleet.notices.contains { if case .workerRegistered(_, _, resumed: true) = $0 { true } else { false } })
    #expect(attempts(fleet, id) == 1)
    #expect(fleet.probes.count == 20)
    #expect(fleet.workers[0].messages.count == 20)
    expectSound(fleet)
  }

  @Test
  func `a message whose bytes changed on the way ends the connection and arrives after all`() {
    let fleet = fleet(workers: 1)
    fleet.workers[0].link?.corruptsNextMessage = true
    fleet.workers[0].handles(.send(Message("probe", ["number": 1]), reliably: true))
    fleet.run(for: .seconds(3))
    #expect(fleet.closes.contains { $0.code == SessionCloseCode.brokenSession })
    #expect(fleet.probes.count == 1)
    expectSound(fleet)
  }

  @Test
  func `a second connection with the valid session takes over and the old one is told why`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 10))
    fleet.workers[0].link?.isBlackHole = true
    fleet.workers[0].handles(.reconnect)
    #expect(fleet.runUntil(id, is: .completed))
    #expect(fleet.closes.contains { $0.code == SessionCloseCode.takenOver })
    #expect(attempts(fleet, id) == 1)
    expectSound(fleet)
  }

  @Test
  func `a second process with the same id is refused while the first lives and admitted after it`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 20))
    let second = fleet.addWorker("w1")
    second.start()
    fleet.run(for: .seconds(2))
    #expect(fleet.closes.contains { $0.code == SessionCloseCode.workerIDInUse && $0.reason.contains("--worker-id") })
    #expect(!second.states.contains(.connected))
    #expect(fleet.runUntil(id, is: .completed))
    #expect(attempts(fleet, id) == 1)
    fleet.workers[0].kill()
    #expect(fleet.run(for: .seconds(5)) { second.state == .connected })
    expectSound(fleet)
  }

  @Test
  func `a silent worker's connection is closed at the timeout, not before`() {
    let fleet = fleet(workers: 1)
    fleet.workers[0].link?.isBlackHole = true
    fleet.workers[0].freeze()
    #expect(!fleet.run(for: .milliseconds(2_400)) { !fleet.closes.isEmpty })
    #expect(fleet.run(for: .milliseconds(1_500)) { fleet.closes.first?.code == SessionCloseCode.silent })
    expectSound(fleet)
  }

  @Test
  func `a worker that outruns its outbox is held back and delivers everything in order`() {
    let fleet = fleet(workers: 1) { $0.workerOutbox = Outbox.Limits(maxMessages: 2, maxBytes: 300) }
    for number in 1...50 {
      fleet.workers[0].handles(.send(Message("probe", ["number": .integer(Int64(number))]), reliably: true))
    }
    #expect(fleet.run(for: .seconds(30)) { fleet.probes.count == 50 })
    expectSound(fleet)
  }

  // MARK: Crashes

  @Test(arguments: [false, true])
  func `a killed worker's task goes on elsewhere from its newest durable checkpoint`(silently: Bool) throws {
    let fleet = fleet()
    let id = fleet.submit("t", work(units: 20))
    fleet.run(for: .seconds(2))
    let victim = try #require(fleet.holder(id))
    victim.kill(silently: silently)
    let newest = try #require(fleet.store[id]?.checkpoints.last?.key)
    #expect(fleet.runUntil(id, is: .completed))
    let first = try #require(fleet.store[id]?.attempts[1])
    #expect(first.outcome == .lost && first.reason.contains(victim.id.text))
    let second = try #require(fleet.starts[AttemptKey(id, 2)])
    #expect(second.worker != victim.id)
    let resumed = try #require(second.checkpoint)
    #expect(resumed >= newest && fleet.store[id]?.attempts[2]?.resumedFrom == resumed)
    expectSound(fleet)
  }

  @Test
  func `a worker restarted at once gives its task back without waiting for the lease`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 20))
    fleet.run(for: .seconds(2))
    fleet.workers[0].kill()
    fleet.workers[0].start()
    #expect(fleet.run(for: .seconds(2)) { fleet.starts[AttemptKey(id, 2)] != nil })
    #expect(fleet.runUntil(id, is: .completed))
    expectSound(fleet)
  }

  @Test
  func `a checkpoint that a dead worker had only on its own disk is where the next attempt starts`() throws {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 20))
    fleet.run(for: .seconds(1))
    fleet.workers[0].link?.isBlackHole = true
    fleet.run(for: .seconds(1))
    let durable = try #require(fleet.store[id]?.checkpoints.last?.key)
    fleet.workers[0].kill()
    fleet.workers[0].start()
    #expect(fleet.runUntil(id, is: .completed))
    let resumed = try #require(fleet.starts[AttemptKey(id, 2)]?.checkpoint)
    #expect(resumed.attempt == 1 && resumed.number > durable.number)
    expectSound(fleet)
  }

  @Test
  func `a restarted coordinator loses neither what was queued, nor what runs, nor an unacknowledged result`() {
    let fleet = fleet(workers: 1, slots: 2) { $0.commitDelay = 40_000...60_000 }
    let short = fleet.submit("short", work(units: 1, unit: 300))
    let long = fleet.submit("long", work(units: 20))
    let queued = fleet.submit("queued", work(units: 2))
    #expect(fleet.run(for: .seconds(5)) { fleet.workers[0].disk.contains { $0.key == "short/1/result" } })
    fleet.coordinator.crash()
    fleet.run(for: .seconds(1))
    fleet.coordinator.start()
    for id in [short, long, queued] {
      #expect(fleet.runUntil(id, is: .completed))
      #expect(attempts(fleet, id) == 1)
    }
    expectSound(fleet)
  }

  @Test
  func `a result outlives the death of both before it was acknowledged, and its task is not run again`() {
    let fleet = fleet(workers: 1) { $0.commitDelay = 40_000...60_000 }
    let id = fleet.submit("t", work(units: 1, unit: 300))
    #expect(fleet.run(for: .seconds(5)) { fleet.workers[0].disk.contains { $0.key == "t/1/result" } })
    fleet.coordinator.crash()
    fleet.workers[0].kill()
    fleet.run(for: .seconds(1))
    fleet.coordinator.start()
    fleet.workers[0].start()
    #expect(fleet.runUntil(id, is: .completed))
    fleet.run(for: .seconds(1))
    #expect(attempts(fleet, id) == 1 && fleet.workers[0].disk.isEmpty)
    expectSound(fleet)
  }

  @Test
  func `a failure replayed after a restart counts once`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 1, failing: 1, retries: 1))
    #expect(fleet.run(for: .seconds(5)) { fleet.store[id]?.record.state.failedAttempts == 1 })
    fleet.workers[0].kill(bringsBackForgotten: true)
    fleet.workers[0].start()
    #expect(fleet.runUntil(id, is: .completed))
    #expect(fleet.store[id]?.record.state.failedAttempts == 1)
    expectSound(fleet)
  }

  @Test
  func `a task that kills its workers is failed after its bound, with the reason`() throws {
    let fleet = fleet(workers: 2)
    let id = fleet.submit("t", work(units: 50, maxLost: 2))
    for _ in 0..<3 {
      #expect(fleet.runUntil(id, is: .running))
      let holder = try #require(fleet.holder(id))
      holder.kill()
      fleet.run(for: .milliseconds(100))
      holder.start()
      fleet.run(for: .seconds(1))
    }
    #expect(fleet.runUntil(id, is: .failed))
    let entry = try #require(fleet.store[id])
    #expect(entry.attempts.count == 3 && entry.attempts.values.allSatisfy { $0.outcome == .lost && !$0.reason.isEmpty })
    #expect(entry.record.state.reason?.contains("3 attempts were lost") == true)
    expectSound(fleet)
  }

  // MARK: Leases

  @Test
  func `the worker's own lease ends before the coordinator's`() throws {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 1_000))
    fleet.run(for: .seconds(2))
    fleet.workers[0].link?.isBlackHole = true
    fleet.isReachable = false
    let executor = try #require(fleet.workers[0].executors[AttemptKey(id, 1)])
    #expect(fleet.run(for: .seconds(7)) { executor.isStopping })
    #expect(fleet.store.status(id) == .running)
    #expect(!fleet.notices.contains(.workerLost(fleet.workers[0].id)))
    #expect(fleet.run(for: .seconds(2)) { fleet.notices.contains(.workerLost(fleet.workers[0].id)) })
    expectSound(fleet)
  }

  @Test
  func `a result that comes after the task was given away is refused, reported and never recorded`() throws {
    let fleet = fleet()
    let id = fleet.submit("t", work(units: 100, unit: 50))
    fleet.run(for: .seconds(1))
    let late = try #require(fleet.holder(id))
    late.freeze()
    #expect(fleet.run(for: .seconds(30)) { fleet.starts[AttemptKey(id, 2)] != nil })
    late.thaw()
    #expect(fleet.runUntil(id, is: .completed))
    fleet.run(for: .seconds(2))
    #expect(
      fleet.notices.contains {
        if case .staleAttemptRefused(id, attempt: 1, late.id, _) = $0 { true } else { false }
      })
    #expect(fleet.store[id]?.attempts[1]?.outcome == .lost)
    #expect(late.executors.isEmpty && late.disk.isEmpty)
    expectSound(fleet)
  }

  @Test
  func `a worker frozen for three leases starts nothing that waited in its buffers`() throws {
    let fleet = fleet()
    fleet.workers[0].freeze()
    let ids = (1...4).map { fleet.submit("t\($0)", work(units: 3)) }
    fleet.run(for: .seconds(18))
    fleet.workers[0].thaw()
    for id in ids { #expect(fleet.runUntil(id, is: .completed)) }
    #expect(fleet.run(for: .seconds(5)) { fleet.workers[0].state == .connected })
    expectSound(fleet)
  }

  // MARK: What people ask

  @Test
  func `a task submitted twice, even after it ended, runs once`() {
    let fleet = fleet()
    for _ in 0..<2 { fleet.ask(.submit([TaskSubmission(id: TaskID(known: "t"), work())])) }
    let id = fleet.submit("t", work())
    #expect(fleet.runUntil(id, is: .completed))
    let again = fleet.ask(.submit([TaskSubmission(id: id, work()), TaskSubmission(id: id, work())]))
    fleet.run(for: .seconds(3))
    #expect(fleet.answers[again] == .submitted([id, id]))
    #expect(attempts(fleet, id) == 1)
    expectSound(fleet)
  }

  @Test
  func `a task cancelled before it was durable is not revived by submitting it again`() {
    let fleet = fleet { $0.commitDelay = 200_000...400_000 }
    let id = TaskID(known: "t")
    let submission = CoordinatorRequest.submit([TaskSubmission(id: id, work())])
    fleet.ask(submission)
    fleet.run(for: .milliseconds(50))
    fleet.ask(submission)
    fleet.run(for: .seconds(1)) { fleet.coordinator.core?.liveTask(id) != nil }
    fleet.ask(submission)
    fleet.ask(.cancel(id))
    for _ in 0..<10 {
      fleet.ask(submission)
      fleet.run(for: .milliseconds(100))
    }
    fleet.run(for: .seconds(5))
    #expect(fleet.store.status(id) == .cancelled)
    expectSound(fleet)
  }

  @Test
  func `a task without a name gets an id of its own`() throws {
    let fleet = fleet()
    let request = fleet.ask(.submit([TaskSubmission(work()), TaskSubmission(work())]))
    fleet.run(for: .seconds(1))
    guard case .submitted(let ids)? = fleet.answers[request] else {
      Issue.record("\(String(describing: fleet.answers[request]))")
      return
    }
    #expect(Set(ids).count == 2)
    for id in ids { #expect(fleet.runUntil(id, is: .completed)) }
  }

  @Test
  func `more unfinished tasks than allowed are refused`() {
    let fleet = fleet { $0.coordinator.maxUnfinishedTasks = 2 }
    let request = fleet.ask(.submit((0..<3).map { _ in TaskSubmission(work()) }))
    fleet.run(for: .seconds(1))
    guard case .refused(let reason)? = fleet.answers[request] else {
      Issue.record("not refused")
      return
    }
    #expect(reason.contains("at most 2"))
  }

  @Test
  func `a queued task is cancelled at once, a running one by its worker, an ended one not at all`() {
    let fleet = fleet(workers: 1, slots: 1)
    let running = fleet.submit("running", work(units: 100))
    let queued = fleet.submit("queued", work())
    fleet.run(for: .seconds(1))
    for id in [queued, running] {
      let request = fleet.ask(.cancel(id))
      #expect(fleet.runUntil(id, is: .cancelled, within: .seconds(1)))
      #expect(fleet.answers[request] == .done)
    }
    let late = fleet.ask(.cancel(running))
    let unknown = fleet.ask(.pause(TaskID(known: "nobody")))
    fleet.run(for: .seconds(1))
    #expect(fleet.answers[late] == .notLive(running))
    #expect(fleet.answers[unknown] == .notLive(TaskID(known: "nobody")))
    #expect(attempts(fleet, queued) == 0 && fleet.workers[0].executors.isEmpty)
    #expect(fleet.store[running]?.attempts[1]?.outcome == .cancelled)
    expectSound(fleet)
  }

  @Test
  func `a cancellation outlives the coordinator that was to tell it`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 60))
    fleet.run(for: .seconds(1))
    fleet.workers[0].link?.isBlackHole = true
    let request = fleet.ask(.cancel(id))
    fleet.run(for: .seconds(1)) { fleet.answers[request] != nil }
    fleet.coordinator.crash()
    fleet.coordinator.start()
    #expect(fleet.runUntil(id, is: .cancelled, within: .seconds(8)))
    expectSound(fleet)
  }

  @Test
  func `a paused task stands still across a restart of the coordinator and then goes on`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 10))
    fleet.run(for: .seconds(1))
    fleet.ask(.pause(id))
    #expect(fleet.runUntil(id, is: .paused))
    let checkpoints = fleet.store[id]?.checkpoints.count
    fleet.coordinator.crash()
    fleet.coordinator.start()
    fleet.run(for: .seconds(10))
    #expect(fleet.store.status(id) == .paused && fleet.store[id]?.checkpoints.count == checkpoints)
    fleet.ask(.resume(id))
    #expect(fleet.runUntil(id, is: .completed))
    #expect(attempts(fleet, id) == 1)
    expectSound(fleet)
  }

  @Test
  func `a checkpoint that is asked for is taken and stored`() {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 1, unit: 5_000))
    fleet.run(for: .seconds(1))
    #expect(fleet.store[id]?.checkpoints.isEmpty == true)
    fleet.ask(.checkpoint(id))
    fleet.run(for: .seconds(1))
    #expect(fleet.notices.contains(.checkpointStored(id, CheckpointKey(attempt: 1, number: 1))))
    #expect(fleet.store[id]?.checkpoints.count == 1)
    expectSound(fleet)
  }

  @Test
  func `a checkpoint of a task that nobody holds is refused`() {
    let fleet = fleet(workers: 1, slots: 1)
    fleet.submit("running", work(units: 100))
    let queued = fleet.submit("queued", work())
    let request = fleet.ask(.checkpoint(queued))
    fleet.run(for: .seconds(1))
    guard case .refused(let reason)? = fleet.answers[request] else {
      Issue.record("not refused")
      return
    }
    #expect(reason.contains("queued"))
  }

  @Test
  func `a failing task is tried again as often as it may be and then fails with its exit status`() {
    let fleet = fleet()
    let good = fleet.submit("good", work(failing: 2, retries: 2))
    let bad = fleet.submit("bad", work(failing: 9, retries: 1))
    #expect(fleet.runUntil(good, is: .completed))
    #expect(fleet.runUntil(bad, is: .failed))
    #expect(fleet.store[good]?.attempts.count == 3)
    #expect(fleet.store[bad]?.attempts.count == 2 && fleet.store[bad]?.record.state.exitCode == 3)
    expectSound(fleet)
  }

  // MARK: Stopping

  @Test
  func `a draining worker ends what it runs, takes nothing more and leaves`() throws {
    let fleet = fleet(workers: 2, slots: 1)
    let ids = (1...6).map { fleet.submit("t\($0)", work(units: 3)) }
    fleet.run(for: .milliseconds(300))
    let before = fleet.starts.count { $0.value.worker == fleet.workers[0].id }
    fleet.workers[0].handles(.drain)
    #expect(fleet.run(for: .seconds(5)) { fleet.workers[0].hasStopped })
    #expect(fleet.workers[0].disk.isEmpty)
    for id in ids { #expect(fleet.runUntil(id, is: .completed)) }
    #expect(fleet.starts.count { $0.value.worker == fleet.workers[0].id } == before)
    #expect(ids.allSatisfy { fleet.store[$0]?.record.state.lostAttempts == 0 })
    expectSound(fleet)
  }

  @Test
  func `a stopped worker gives its tasks to the others without waiting for its lease`() {
    let fleet = fleet(workers: 2, slots: 1)
    let ids = (1...2).map { fleet.submit("t\($0)", work(units: 10)) }
    fleet.run(for: .seconds(1))
    fleet.workers[0].handles(.stop)
    #expect(fleet.run(for: .seconds(1)) { fleet.workers[0].hasStopped })
    for id in ids { #expect(fleet.runUntil(id, is: .completed, within: .seconds(5))) }
    #expect(fleet.starts.count == 3)
    #expect(!fleet.notices.contains(.workerLost(fleet.workers[0].id)))
    expectSound(fleet)
  }

  @Test
  func `stopping a worker that cannot reach anybody still ends`() {
    let fleet = fleet(workers: 1)
    fleet.submit("t", work(units: 100))
    fleet.run(for: .seconds(1))
    fleet.coordinator.crash()
    fleet.run(for: .milliseconds(100))
    fleet.workers[0].handles(.stop)
    #expect(fleet.run(for: .seconds(5)) { fleet.workers[0].hasStopped })
  }

  // MARK: Priorities

  /// One worker that critical tasks keep busy for ever, and one task of the lowest priority.
  @Test(arguments: [Duration.seconds(5), nil])
  func `a steady stream of critical tasks starves nothing, unless aging is off`(aging: Duration?) {
    let fleet = fleet(workers: 1, slots: 1) { $0.coordinator.priorityAging = aging }
    let critical = work(units: 1, unit: 100, priority: .critical)
    for number in 0..<400 {
      fleet.schedule(at: fleet.now + .milliseconds(80) * number) { [unowned fleet] in
        fleet.ask(.submit([TaskSubmission(id: TaskID(known: "c\(number)"), critical)]))
      }
    }
    fleet.run(for: .milliseconds(300))
    let id = fleet.submit("slow", work(units: 1, unit: 100, priority: .background))
    #expect(fleet.runUntil(id, is: .completed, within: .seconds(30)) == (aging != nil))
    #expect(fleet.starts.keys.contains { $0.taskID.text == "c20" })
    expectSound(fleet)
  }

  // MARK: Adaptation

  @Test
  func `a large fleet sends fewer heartbeats, loses nobody by that, and silence is still found in time`() {
    let fleet = fleet(workers: 30) { $0.coordinator.maxHeartbeatsPerSecond = 20 }
    fleet.run(for: .seconds(5))
    let before = fleet.workers.map { $0.core?.statistics.messagesSent ?? 0 }
    fleet.run(for: .seconds(30))
    let sent = zip(fleet.workers, before).map { ($0.core?.statistics.messagesSent ?? 0) - $1 }
    // Once in a second and a half.
    #expect(sent.allSatisfy { (19...21).contains($0) }, "\(sent)")
    #expect(fleet.workers.allSatisfy { $0.core?.statistics.disconnections == 0 })
    let start = fleet.now
    fleet.workers[0].freeze()
    let isFound = fleet.run(for: .seconds(10)) {
      fleet.notices.contains { if case .workerDisconnected = $0 { true } else { false } }
    }
    #expect(isFound && fleet.now - start <= fleet.options.coordinator.heartbeatTimeout)
    expectSound(fleet)
  }
}
