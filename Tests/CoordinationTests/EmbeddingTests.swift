import Coordination
import CoordinationCore
import Primitives
import Reactor
import Storage
import TestSupport
import Testing

/// What a Swift program that embeds a coordinator or a worker relies on.
@Suite(.timeLimit(.minutes(5))) struct EmbeddingTests {
  @Test func `the worker and coordinator of the README run a task to its end`() async throws {
    let folder = TemporaryDirectory()
    let detail = try await countOnce(store: .sqlite(path: folder.file("count.db")))
    #expect(detail.task.state.status == .completed)
    #expect(detail.task.state.result == ["task": "to a hundred", "counted_from": 0])
    #expect(detail.task.state.progress == 1)
    #expect(detail.checkpoints.last?.data == 100)
  }

  @Test func `the handler of the README answers a worker's own messages`() async throws {
    var settings = CoordinatorSettings()
    settings.port = 0
    settings.handlers = { [GreetingHandler()] }
    let coordinator = try await Coordinator.start(settings)
    let (replies, reply) = AsyncStream.makeStream(of: Message.self)
    var workerSettings = WorkerSettings()
    workerSettings.coordinator = coordinator.url
    workerSettings.onMessage = { reply.yield($0) }
    let worker = try await Worker(workerSettings) { _, _ in nil }
    worker.send(Message("greeting", ["name": "Ada"]))
    worker.send(Message("greeting", ["name": "Alan"]))
    var texts: [JSONValue?] = []
    for await message in replies {
      texts.append(message.fields["text"])
      if texts.count == 2 { break }
    }
    #expect(texts == ["hello, Ada", "hello, Alan"])
    await worker.stop()
    await coordinator.stop()
  }

  @Test func `two handlers for one type are an error at start that names both`() async throws {
    var settings = CoordinatorSettings()
    settings.port = 0
    settings.handlers = { [GreetingHandler(), GreetingHandler()] }
    let fixed = settings
    await #expect { try await Coordinator.start(fixed) } throws: { error in
      "\(error)".contains("both GreetingHandler and GreetingHandler handle messages of type greeting")
    }
  }

  @Test func `a worker's connection can be watched, forced to reconnect, and stopped`() async throws {
    var settings = CoordinatorSettings()
    settings.port = 0
    let coordinator = try await Coordinator.start(settings)
    var workerSettings = WorkerSettings()
    workerSettings.coordinator = coordinator.url
    workerSettings.workerID = "watched"
    let worker = try await Worker(workerSettings) { _, _ in nil }
    var seen: [WorkerConnectionState] = []
    for await state in worker.states {
      seen.append(state)
      guard state == .connected else { continue }
      if seen.count(where: { $0 == .connected }) == 2 { break }
      worker.reconnect()
    }
    #expect(Array(seen.suffix(3)) == [.disconnected, .connecting, .connected])
    let statistics = try #require(await worker.statistics())
    #expect(statistics.attempts == 2)
    #expect(statistics.successes == 2)
    #expect(statistics.stability == 1)
    let workers = try await coordinator.workers()
    #expect(workers.map(\.id.text) == ["watched"])
    #expect(workers[0].reconnections == 1)
    await worker.stop()
    #expect(await worker.state() == .shutdown)
    await coordinator.stop()
  }

  @Test func `a task can be cancelled, paused and resumed, and its events are seen in order`() async throws {
    var settings = CoordinatorSettings()
    settings.port = 0
    let coordinator = try await Coordinator.start(settings)
    var workerSettings = WorkerSettings()
    workerSettings.coordinator = coordinator.url
    let worker = try await Worker(workerSettings) { _, context in
      // Runs until it is cancelled, and looks whether it is paused meanwhile.
      while true {
        try context.checkCancellation()
        try await context.waitWhilePaused()
        await Task.yield()
      }
    }
    let events = coordinator.events { if case .taskChanged = $0 { true } else { false } }
    let id = try await coordinator.submit(TaskSpecification(name: "endless", work: .custom(kind: "task", input: [:])))
    var statuses: [TaskStatus] = []
    for await event in events {
      guard case .taskChanged(let task) = event else { continue }
      if statuses.last == task.state.status { continue }
      statuses.append(task.state.status)
      switch task.state.status {
      case .running where statuses.contains(.paused): try await coordinator.cancel(id)
      case .running: try await coordinator.pause(id)
      case .paused: try await coordinator.resume(id)
      default: break
      }
      if task.state.status.isTerminal { break }
    }
    #expect(statuses == [.queued, .assigned, .running, .paused, .running, .cancelled])
    await #expect(throws: Coordinator.RequestError.taskHasEnded(id)) { try await coordinator.cancel(id) }
    await worker.stop()
    await coordinator.stop()
  }

  @Test func `a worker whose attempts to connect are used up fails and says so`() async throws {
    let port = try freePort()
    var settings = WorkerSettings()
    settings.coordinator = "ws://127.0.0.1:\(port)"
    settings.maxReconnectAttempts = 3
    settings.reconnectDelay = .milliseconds(1)
    let worker = try await Worker(settings) { _, _ in nil }
    for await state in worker.states where state == .failed { break }
    #expect(await worker.statistics()?.attempts == 4)
    await worker.stop()
  }

  /// A port on which nobody listens: it was given to a listener that has closed.
  private func freePort() throws -> UInt16 {
    let coordinator = try TestCoordinator()
    let port = coordinator.address.port ?? 1
    coordinator.stop()
    return port
  }
}
