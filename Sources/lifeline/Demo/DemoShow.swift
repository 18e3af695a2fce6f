import Coordination
import FaultProxy
import Primitives
import Reactor

/// The demonstration from start to end: the fleet, and the faults in their order.
final class DemoShow {
  private static let workers = ["worker-1", "worker-2", "worker-3"]
  private static let limit: Duration = .seconds(55)

  private let stage: DemoStage
  private let fleet: DemoFleet
  private var work: DemoWork?

  init(directory: String, on loop: EventLoop) {
    stage = DemoStage(on: loop)
    fleet = DemoFleet(directory: directory, on: loop)
    fleet.onProblem = { [stage] in stage.end(.failed($0)) }
    stage.onEnd = { [weak self] in
      self?.work?.close()
      self?.fleet.stop { loop.stop() }
    }
  }

  func start() {
    stage.attempt {
      try fleet.startCoordinator { [weak self] in self?.coordinatorIsUp() }
    }
  }

  func interrupt() { stage.end(.interrupted) }

  private func coordinatorIsUp() {
    stage.attempt {
      stage.say("coordinator listening on \(fleet.url), three workers with four slots each")
      try fleet.startProxy()
      for worker in Self.workers { try fleet.startWorker(worker) }
      var settings = ClientSettings()
      settings.coordinator = fleet.url
      settings.patience = nil
      let work = try DemoWork(DemoTask.all, settings, on: stage)
      self.work = work
      work.submit { [weak self] in self?.schedule() }
    }
  }

  private func schedule() {
    at(2.5, "every connection is cut") { $0.proxy?.cut() }
    at(5, "worker-2 is killed (SIGKILL)") { $0.killWorker("worker-2") }
    at(10.5, "worker-2 is started again") { try $0.startWorker("worker-2") }
    at(12, "the coordinator is killed (SIGKILL)") { $0.killCoordinator() }
    at(13.5, "the coordinator is started again on the same store") { try $0.startCoordinator {} }
    at(16.5, "every connection is cut in the middle of a message") { $0.proxy?.cut(after: 100, .up) }
    stage.limit(Self.limit) { "not everything had ended after \(Self.limit)" }
  }

  private func at(_ seconds: Double, _ what: String, _ body: @escaping (DemoFleet) throws -> Void) {
    stage.at(seconds) { [stage, fleet] in
      stage.say(what)
      try body(fleet)
    }
  }

  /// - Returns: whether every command ended as it must.
  func report() -> Bool {
    guard stage.tellEnd(), let outcome = work?.outcome else { return false }
    let console = stage.console
    console.write(line: "")
    console.write(outcome.table)
    console.write(line: "")
    console.write(line: outcome.summary("with the exit code and output they must have"))
    console.write(
      line: "\(outcome.restarted.count) lost their worker and were started again; "
        + "\(outcome.continued.count) of them continued from a checkpoint")
    outcome.complain(to: console)
    if outcome.restarted.isEmpty {
      console.complain("no attempt was lost: the faults came too late to show anything")
    }
    return outcome.isRight && !outcome.continued.isEmpty
  }
}
