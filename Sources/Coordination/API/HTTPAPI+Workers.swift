import CoordinationCore
import Primitives
import Reactor

extension HTTPAPI {
  /// How old what a worker last said of itself may be before it is asked again.
  private static let telemetryAge: Duration = .seconds(5)
  private static let maxAsked = 10_000

  func listWorkers(_ reply: APIReply) {
    runtime.listWorkers(withTelemetry: false) { workers in
      reply.json(["workers": .array(workers.map(JSONValue.object))])
    }
  }

  func worker(_ id: WorkerID, _ reply: APIReply) {
    runtime.worker(id, withTelemetry: true) { worker in
      guard let worker else { return reply.problem(.notFound("there is no worker \(id)")) }
      reply.json(worker)
    }
  }

  /// What a worker said of itself; it is asked to say so again, for whoever asks next.
  func metrics(of id: WorkerID, _ reply: APIReply) {
    runtime.worker(id, withTelemetry: true) { [self] worker in
      guard let worker else { return reply.problem(.notFound("there is no worker \(id)")) }
      reply.json([
        "worker_id": .string(id.text), "telemetry": worker["telemetry"] ?? .null,
        "telemetry_at": worker["telemetry_at"] ?? .null,
      ])
      if worker["mode"]?.string == ConnectionMode.session.rawValue { askForTelemetry(of: id) }
    }
  }

  private func askForTelemetry(of id: WorkerID) {
    let now = runtime.loop.now
    guard telemetryAskedAt[id].map({ now - $0 >= Self.telemetryAge }) ?? true else { return }
    if telemetryAskedAt.count >= Self.maxAsked { telemetryAskedAt = [:] }
    telemetryAskedAt[id] = now
    runtime.request(.telemetry(id)) { _ in }
  }

  func drain(_ id: WorkerID, _ reply: APIReply) {
    // Another coordinator may know it.
    guard runtime.isShared || runtime.workerSummary(id) != nil else {
      return reply.problem(.notFound("there is no worker \(id)"))
    }
    runtime.request(.drainWorker(id)) { [runtime] answer in
      if case .refused(let reason) = answer { return reply.problem(APIProblem(.conflict, reason)) }
      runtime.worker(id, withTelemetry: false) { worker in
        reply.json(worker ?? ["worker_id": .string(id.text)], status: 202)
      }
    }
  }
}
