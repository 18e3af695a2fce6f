import Coordination
import CoordinationCore

/// Submits a plan's tasks in their order, one batch after the other, so that neither side holds more than a batch twice.
final class BatchSubmitter {
  private static let maxTasksPerBatch = 500
  private static let maxBytesPerBatch = CoordinatorClient.maxRequestBytes / 2

  private let client: CoordinatorClient
  private let tasks: [SubmissionPlan.Planned]
  /// How many tasks the coordinator has for good.
  private(set) var submitted = 0
  private var isAsking = false
  private var isStopped = false

  /// Called after each batch, and once more when everything was submitted or a batch was refused.
  var onProgress: ((Result<Void, ClientError>) -> Void)?

  init(_ tasks: [SubmissionPlan.Planned], to client: CoordinatorClient) {
    self.tasks = tasks
    self.client = client
  }

  var isDone: Bool { submitted == tasks.count || (isStopped && !isAsking) }

  func start() {
    guard !isAsking, !isStopped, submitted < tasks.count else { return }
    var batch: [JSONValue] = []
    var bytes = 0
    for task in tasks[submitted...].prefix(Self.maxTasksPerBatch) {
      let size = task.object.text.utf8.count
      // One that is too large even alone is sent, and its answer says so.
      if !batch.isEmpty, bytes + size > Self.maxBytesPerBatch { break }
      batch.append(.object(task.object))
      bytes += size
    }
    isAsking = true
    client.request("submit", ["tasks": .array(batch)]) { [self] result in
      isAsking = false
      switch result {
      case .success:
        submitted += batch.count
        onProgress?(.success(()))
        start()
      case .failure(let error):
        isStopped = true
        onProgress?(.failure(error))
      }
    }
  }

  /// Submits no further batch; the one under way may still arrive.
  func stop() { isStopped = true }
}
