import Authentication

/// Everything that the HTTP API can do; the names are the document's `operationId`s.
enum APIOperation: String, CaseIterable {
  case submitTasks, listTasks, getTask
  case cancelTask, pauseTask, resumeTask, retryTask, checkpointTask
  case getResult, getLogs, listCheckpoints, getCheckpoint
  case listWorkers, getWorker, getWorkerMetrics, drainWorker
  case getQueue, getOverview, getEvents, getDocument

  enum Method: String, CaseIterable { case get, post }

  static let prefix = "/api/v1"

  /// Below `prefix`; a segment in braces stands for any one.
  var template: String {
    switch self {
    case .submitTasks, .listTasks: "/tasks"
    case .getTask: "/tasks/{task_id}"
    case .cancelTask: "/tasks/{task_id}/cancel"
    case .pauseTask: "/tasks/{task_id}/pause"
    case .resumeTask: "/tasks/{task_id}/resume"
    case .retryTask: "/tasks/{task_id}/retry"
    case .checkpointTask: "/tasks/{task_id}/checkpoint"
    case .getResult: "/tasks/{task_id}/result"
    case .getLogs: "/tasks/{task_id}/logs"
    case .listCheckpoints: "/tasks/{task_id}/checkpoints"
    case .getCheckpoint: "/tasks/{task_id}/checkpoints/{number}"
    case .listWorkers: "/workers"
    case .getWorker: "/workers/{worker_id}"
    case .getWorkerMetrics: "/workers/{worker_id}/metrics"
    case .drainWorker: "/workers/{worker_id}/drain"
    case .getQueue: "/queue"
    case .getOverview: "/overview"
    case .getEvents: "/events"
    case .getDocument: "/openapi.json"
    }
  }

  var method: Method {
    switch self {
    case .submitTasks, .cancelTask, .pauseTask, .resumeTask, .retryTask, .checkpointTask, .drainWorker: .post
    case .listTasks, .getTask, .getResult, .getLogs, .listCheckpoints, .getCheckpoint, .listWorkers, .getWorker,
      .getWorkerMetrics, .getQueue, .getOverview, .getEvents, .getDocument:
      .get
    }
  }

  /// What whoever asks must be allowed to.
  var access: Access { method == .get ? .read : .change }

  /// The parameters that its query may have.
  var parameters: [String] {
    switch self {
    case .listTasks: ["status", "run", "worker", "limit", "cursor"]
    case .getLogs: ["stream", "follow"]
    case .getEvents: ["run"]
    default: []
    }
  }
}
