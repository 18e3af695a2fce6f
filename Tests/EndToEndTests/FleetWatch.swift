import Coordination
import CoordinationCore
import Primitives
import Reactor
import TestSupport

/// A client that watches every task for as long as the fleet lives, through any number of coordinators.
final class FleetWatch: Sendable {
  /// Every state of every task that the coordinator reported: as it changed, and as listed after each reconnection.
  let tasks = EventLog<JSONObject>("watch")
  private let thread: EventLoopThread
  private let client: LoopBound<CoordinatorClient>

  init(_ url: String) throws {
    let tasks = tasks
    let made = Exchange<Result<LoopBound<CoordinatorClient>, any Error>>()
    let established = Exchange<Bool>()
    thread = try EventLoopThread(name: "watch") { loop in
      made.put(
        Result {
          var settings = ClientSettings()
          settings.coordinator = url
          settings.patience = nil
          settings.backoff = Backoff.Configuration(base: .milliseconds(20), cap: .milliseconds(200))
          let client = try CoordinatorClient(settings, on: loop)
          client.watch(WatchRequest()) { [unowned client] event in
            switch event {
            case .established:
              established.put(true)
              Self.list(client, into: tasks)
            case .taskChanged(let task): tasks.put(task)
            case .output, .failed: break
            }
          }
          return LoopBound(client, to: loop)
        })
    }
    client = try made.take().get()
    _ = established.take()
  }

  private static func list(_ client: CoordinatorClient, into tasks: EventLog<JSONObject>) {
    client.request("list_tasks") { result in
      guard case .success(let reply) = result else { return }
      for task in reply["tasks"]?.array ?? [] { if let task = task.object { tasks.put(task) } }
    }
  }

  func ask(_ type: MessageKind, _ fields: JSONObject = [:]) throws -> JSONObject {
    let (client, answer) = (client, Exchange<Result<JSONObject, ClientError>>())
    thread.mailbox.post { client.value.request(type, fields) { answer.put($0) } }
    return try answer.take().get()
  }

  func stop() {
    let client = client
    thread.mailbox.post { client.value.close() }
    thread.stop()
    thread.join()
  }
}
