import Coordination
import CoordinationCore

// README: begin worker
/// Counts to a hundred; a later attempt goes on from where the last one was.
func startCountingWorker(_ settings: WorkerSettings) async throws -> Worker {
  try await Worker(settings, kinds: ["count"]) { task, context in
    let first = context.latestCheckpoint?.integer ?? 0
    for number in first..<100 {
      try context.checkCancellation()
      try await context.waitWhilePaused()
      try await context.checkpoint(.integer(number + 1))
      context.update(progress: Double(number + 1) / 100)
    }
    return ["task": .string(task.name), "counted_from": .integer(first)]
  }
}
// README: end worker

// README: begin coordinator
/// Runs one task to its end on a coordinator of its own.
func countOnce(store: StoreKind) async throws -> TaskDetail {
  var settings = CoordinatorSettings()
  settings.port = 0
  settings.store = store
  let coordinator = try await Coordinator.start(settings)
  var workerSettings = WorkerSettings()
  workerSettings.coordinator = coordinator.url
  let worker = try await startCountingWorker(workerSettings)
  let id = try await coordinator.submit(
    TaskSpecification(name: "to a hundred", work: .custom(kind: "count", input: [:])))
  let detail = try await coordinator.result(of: id)
  await worker.stop()
  await coordinator.stop()
  return detail
}
// README: end coordinator

// README: begin handler
/// Answers `greeting` messages, and tells whoever watches the log.
struct GreetingHandler: MessageHandler {
  static let kinds: [MessageKind] = ["greeting"]
  private var greeted = 0

  mutating func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let name = try message.reader.string("name", maxBytes: 100)
    greeted += 1
    context.log(.info, "greeted", ["name": name])
    context.send("greeting_reply", ["text": .string("hello, \(name)"), "count": .integer(Int64(greeted))])
  }
}
// README: end handler
