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

  func worker(_ id: WorkerID, _ reply: APIReply, status: Int = 200, _ object: (WorkerSummary) -> JSONObject) {
    guard let worker = runtime.workerSummary(id) else { return reply.problem(.notFound("there is no worker \(id)")) }
    reply.json(object(worker), status: status)
  }

  /// What a worker said of itself; it is asked to say so again, for whoever asks next.
  func metrics(of id: WorkerID, _ reply: APIReply) {
    worker(id, reply) { worker in
      [
        "worker_id": .string(id.text), "telemetry": worker.telemetry.map { .object($0.fields) } ?? .null,
        "telemetry_at": JSONValue(worker.telemetry?.receivedAt.iso8601),
      ]
    }
    let now = runtime.loop.now
    guard runtime.workerSummary(id)?.mode == .session,
      telemetryAskedAt[id].map({ now - $0 >= Self.telemetryAge }) ?? true
    else { return }
    if telemetryAskedAt.count >= Self.maxAsked { telemetryAskedAt = [:] }
    telemetryAskedAt[id] = now
    runtime.request(.telemetry(id)) { _ in }
  }

  func drain(_ id: WorkerID, _ reply: APIReply) {
    // Another coordinator may know it.
    guard runtime.isShared || runtime.workerSummary(id) != nil else {
      return reply.problem(.notFound("there is no worker \(id)"))
    }
    runtime.request(.drainWorker(id)) { [self] answer in
      guard case .refused(let reason) = answer else {
        guard runtime.workerSummary(id) != nil else { return reply.json(["worker_id": .string(id.text)], status: 202) }
        return worker(id, reply, status: 202) { $0.presentation }
      }
      reply.problem(APIProblem(.conflict, reason))
    }
  }
}
