@testable import Simulation
import CoordinationCore
import History
import Primitives
import Testing

/// What a fleet of several coordinators does in the situations that its users were promised something about.
@Suite(.timeLimit(.minutes(10)))
struct ClusterScenarioTests {
  private func fleet(
    coordinators: Int = 2, workers: Int = 2, _ change: (inout SimulationOptions) -> Void = { _ in }
  ) -> SimulatedFleet {
    var options = SimulationOptions()
    options.coordinators = coordinators
    options.workers = workers
    change(&options)
    let fleet = SimulatedFleet(options)
    fleet.startAll()
    fleet.run(for: .seconds(3)) { fleet.workers.allSatisfy { $0.state == .connected } }
    return fleet
  }

  private func attempts(_ fleet: SimulatedFleet, _ id: TaskID) -> Int { fleet.starts.keys.count { $0.taskID == id } }

  /// Sends a worker to another coordinator, as a broken connection may.
  private func move(_ worker: SimulatedWorker, _ fleet: SimulatedFleet) throws {
    let place = try #require(worker.link?.coordinator.index)
    worker.cutOffFrom = [place]
    worker.link?.cut()
    #expect(fleet.run(for: .seconds(10)) { worker.state == .connected && worker.link?.coordinator.index != place })
    worker.cutOffFrom = []
  }

  private func expectSound(_ fleet: SimulatedFleet, _ location: SourceLocation = #_sourceLocation) {
    fleet.run(for: .seconds(5))
    fleet.finish()
    #expect(fleet.violations == [], sourceLocation: location)
    #expect(fleet.shared?.owners.isEmpty == true, sourceLocation: location)
    #expect(fleet.workers.allSatisfy { $0.disk.isEmpty && $0.executors.isEmpty }, sourceLocation: location)
  }

  @Test(arguments: [2, 3])
  func `tasks that are submitted at any coordinator run once each on any worker`(coordinators: Int) {
    let fleet = fleet(coordinators: coordinators, workers: 4)
    let ids = (1...12).map { TaskID(known: "t\($0)") }
    for (index, id) in ids.enumerated() {
      fleet.ask(.submit([TaskSubmission(id: id, work())]), at: fleet.coordinators[index % coordinators])
    }
    #expect(fleet.run(for: .seconds(30)) { ids.allSatisfy { fleet.store.status($0) == .completed } })
    #expect(fleet.starts.count == 12)
    #expect(Set(fleet.starts.values.map(\.worker)).count == 4)
    expectSound(fleet)
  }

  @Test
  func `a worker that comes to another coordinator goes on with its attempt`() throws {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 20))
    #expect(fleet.run(for: .seconds(3)) { fleet.workers[0].executors.count == 1 })
    for _ in 1...3 { try move(fleet.workers[0], fleet) }
    #expect(fleet.runUntil(id, is: .completed))
    #expect(attempts(fleet, id) == 1)
    #expect((fleet.statistics.taken[.gathered] ?? 0) >= 3)
    expectSound(fleet)
  }

  @Test
  func `the tasks of a killed coordinator's workers go on at the others, and its queue as well`() throws {
    let fleet = fleet(workers: 2) { $0.slots = 1 }
    let ids = (1...4).map { fleet.submit("t\($0)", work(units: 20)) }
    #expect(fleet.run(for: .seconds(3)) { fleet.workers.allSatisfy { $0.executors.count == 1 } })
    fleet.coordinator.crash()
    #expect(fleet.run(for: .seconds(60)) { ids.allSatisfy { fleet.store.status($0) == .completed } })
    #expect(ids.allSatisfy { attempts(fleet, $0) == 1 })
    expectSound(fleet)
  }

  @Test
  func `a coordinator that stood still past its lease changes nothing, and is a member again`() throws {
    let fleet = fleet(workers: 2)
    let ids = (1...4).map { fleet.submit("t\($0)", work(units: 20)) }
    #expect(fleet.run(for: .seconds(3)) { fleet.workers.reduce(0) { $0 + $1.executors.count } == 4 })
    let place = try #require(fleet.workers[0].link?.coordinator)
    place.freeze()
    fleet.run(for: .seconds(5))
    place.thaw()
    #expect(fleet.run(for: .seconds(60)) { ids.allSatisfy { fleet.store.status($0) == .completed } })
    #expect(fleet.run(for: .seconds(5)) { place.fencings == 1 && place.isRunning })
    expectSound(fleet)
  }

  @Test
  func `while the store is away attempts go on, and their ends are stored when it is back`() {
    let fleet = fleet(workers: 2)
    let ids = (1...4).map { fleet.submit("t\($0)", work(units: 5)) }
    #expect(fleet.run(for: .seconds(3)) { fleet.workers.reduce(0) { $0 + $1.executors.count } == 4 })
    for coordinator in fleet.coordinators { coordinator.loseStore(until: fleet.now + .seconds(4)) }
    #expect(!fleet.run(for: .milliseconds(3_900)) { ids.contains { fleet.store.status($0) == .completed } })
    #expect(fleet.workers.allSatisfy { $0.state == .connected })
    #expect(fleet.run(for: .seconds(20)) { ids.allSatisfy { fleet.store.status($0) == .completed } })
    #expect(ids.allSatisfy { attempts(fleet, $0) == 1 })
    expectSound(fleet)
  }

  @Test(arguments: [0, 100])
  func `a task is cancelled at a coordinator that does not hold it`(lossPercent: Int) throws {
    let fleet = fleet(workers: 1)
    let id = fleet.submit("t", work(units: 200))
    #expect(fleet.run(for: .seconds(3)) { fleet.workers[0].executors.count == 1 })
    let place = try #require(fleet.workers[0].link?.coordinator.index)
    fleet.shared?.lossPercent = lossPercent
    let other = fleet.coordinators[1 - place]
    let request = fleet.ask(.cancel(id), at: other)
    fleet.run(for: .seconds(2))
    #expect((fleet.answers[request] == .done) == (lossPercent == 0))
    fleet.shared?.lossPercent = 0
    #expect(fleet.runUntil(id, is: .cancelled, within: .seconds(10)))
    #expect(fleet.answers[request] == .done)
    expectSound(fleet)
  }

  @Test
  func `what a worker still has of a lost attempt is taken at whichever coordinator it comes to`() throws {
    let fleet = fleet(workers: 1) { $0.slots = 1 }
    let id = fleet.submit("t", work(units: 4, unit: 400))
    #expect(fleet.run(for: .seconds(3)) { fleet.workers[0].executors.count == 1 })
    // It works on without anybody, for longer than its tasks wait for it and not for as long as its lease.
    let place = try #require(fleet.workers[0].link?.coordinator)
    fleet.workers[0].cutOffFrom = Set(fleet.coordinators.map(\.index))
    fleet.workers[0].link?.cut()
    #expect(fleet.run(for: .seconds(4)) { !fleet.workers[0].disk.isEmpty && fleet.workers[0].executors.isEmpty })
    fleet.run(for: .milliseconds(50))
    place.crash()
    fleet.workers[0].kill()
    #expect(fleet.run(for: .seconds(20)) { fleet.store.status(id) == .queued })
    fleet.workers[0].cutOffFrom = []
    fleet.workers[0].start()
    #expect(fleet.runUntil(id, is: .completed))
    #expect(attempts(fleet, id) == 1)
    place.start()
    expectSound(fleet)
  }
}
