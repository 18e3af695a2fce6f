import Coordination
import CoordinationCore
import FaultProxy
import Primitives
import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(5))) final class CoordinatorClientTests {
  /// Whoever makes a client keeps it.
  private var client: CoordinatorClient?

  private func settings(_ url: String, patience: Duration? = .seconds(5)) -> ClientSettings {
    var settings = ClientSettings()
    settings.coordinator = url
    settings.patience = patience
    settings.backoff = Backoff.Configuration(base: .milliseconds(5), cap: .milliseconds(20), usefulSession: .seconds(1))
    return settings
  }

  private func client(_ settings: ClientSettings, on loop: EventLoop) throws -> CoordinatorClient {
    let client = try CoordinatorClient(settings, on: loop)
    self.client = client
    return client
  }

  private func task(_ id: String) -> JSONObject {
    ["tasks": [["task_id": .string(id), "kind": "scripted", "input": [:], "run": "r"]]]
  }

  private func ids(_ reply: JSONObject) -> [String] {
    (reply["tasks"]?.array ?? []).compactMap { $0.object?["task_id"]?.string }
  }

  @Test(arguments: ["localhost:8765", "http://localhost", "wss:/localhost", "ws://", "ws://a b"])
  func `an address that is none is an error at once`(address: String) throws {
    #expect(throws: CoordinatorAddresses.Problem.self) { try CoordinatorAddresses(address) }
    let loop = try EventLoop()
    #expect(throws: CoordinatorAddresses.Problem.self) { try CoordinatorClient(self.settings(address), on: loop) }
  }

  @Test func `requests are answered, and errors carry the coordinator's code`() throws {
    let coordinator = try TestCoordinator()
    var listed: [String] = []
    var refusal: ClientError?
    try withLoop { loop in
      let client = try client(settings(coordinator.url), on: loop)
      client.request("submit", self.task("a")) { #expect((try? $0.get())?["task_ids"] == ["a"]) }
      client.request("get_task", ["task_id": "b"]) { if case .failure(let error) = $0 { refusal = error } }
      client.request("nonsense") {
        guard case .failure(let error) = $0 else { return }
        #expect(error.code == "bad_request")
      }
      // Submitted before, but not durable for certain before this list is read: hence in the answer's turn.
      client.request("submit", self.task("a")) { _ in
        client.request("list_tasks") {
          listed = (try? $0.get()).map(self.ids) ?? []
          loop.stop()
        }
      }
    }
    #expect(listed == ["a"])
    #expect(refusal == .answered(code: "not_found", message: "there is no task b"))
    coordinator.stop()
  }

  @Test func `what was not answered is asked again over the next connection`() throws {
    let coordinator = try TestCoordinator()
    let relay = try FaultRelay(to: coordinator.address)
    // The request passes, and the connection ends within the answer.
    relay.cut(after: 300, .down)
    var replies = 0
    var changes: [String?] = []
    try withLoop { loop in
      let client = try client(settings(relay.url), on: loop)
      client.onConnectionChange = { changes.append($0) }
      client.request("submit", self.task("a")) { if case .success = $0 { replies += 1 } }
      client.request("list_workers") { _ in }
      client.request("count_tasks", ["run": "r"]) {
        #expect((try? $0.get())?["counts"]?.object?["queued"] == 1)
        loop.stop()
      }
    }
    #expect(replies == 1)
    // The last is the end of the loop.
    #expect(changes.count == 4 && changes[0] == nil && changes[1] != nil && changes[2] == nil)
    #expect(relay.accepted >= 2)
    relay.stop()
    coordinator.stop()
  }

  @Test func `a watch is taken up again, and says when to list`() throws {
    let coordinator = try TestCoordinator()
    let relay = try FaultRelay(to: coordinator.address)
    var established = 0
    var heard: [String] = []
    try withLoop { loop in
      let client = try client(settings(relay.url), on: loop)
      client.watch(WatchRequest(run: "r")) { event in
        switch event {
        case .established:
          established += 1
          if established == 1 { client.request("submit", self.task("a")) { _ in relay.cut() } }
          if established == 2 { client.request("submit", self.task("b")) { _ in } }
        case .taskChanged(let task):
          heard.append(task["task_id"]?.string ?? "")
          if heard.last == "b" { loop.stop() }
        case .output: break
        case .failed(let error): Issue.record(error)
        }
      }
    }
    #expect(established == 2)
    #expect(heard.contains("a") && heard.last == "b")
    relay.stop()
    coordinator.stop()
  }

  @Test func `patience ends with the address and the cause, for requests and watches alike`() throws {
    var failures: [ClientError] = []
    try withLoop { loop in
      let client = try client(settings("ws://127.0.0.1:1", patience: .milliseconds(100)), on: loop)
      client.watch(WatchRequest()) { if case .failed(let error) = $0 { failures.append(error) } }
      client.request("list_tasks") { if case .failure(let error) = $0 { failures.append(error) } }
      loop.when({ failures.count == 2 }) { loop.stop() }
    }
    for failure in failures {
      guard case .unreachable("ws://127.0.0.1:1", let cause, .milliseconds(100)) = failure else {
        Issue.record(failure)
        continue
      }
      #expect(cause.contains("ECONNREFUSED"))
    }
  }

  @Test func `one that accepts connections and drops them uses up the patience`() throws {
    var failure: ClientError?
    var accepted = 0
    try withLoop { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop) { _ in
        accepted += 1
        return .accept(subprotocol: Protocols.client, delegate: Dropper())
      }
      let url = "ws://127.0.0.1:\(server.localAddress.port ?? 0)"
      let client = try client(settings(url, patience: .milliseconds(200)), on: loop)
      client.request("list_tasks") {
        if case .failure(let error) = $0 { failure = error }
        loop.stop()
      }
    }
    guard case .unreachable? = failure else {
      Issue.record("\(String(describing: failure))")
      return
    }
    #expect(accepted > 1)
  }

  @Test func `a server that is no coordinator is not tried again`() throws {
    var failure: ClientError?
    var requests = 0
    try withLoop { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop) { _ in
        requests += 1
        return .reject(status: 404, message: "nothing here")
      }
      let url = "ws://127.0.0.1:\(server.localAddress.port ?? 0)"
      let client = try client(settings(url, patience: nil), on: loop)
      client.request("list_tasks") {
        if case .failure(let error) = $0 { failure = error }
        loop.stop()
      }
    }
    guard case .notACoordinator? = failure else {
      Issue.record("\(String(describing: failure))")
      return
    }
    #expect(requests == 1)
  }

  @Test func `a request that the coordinator would refuse for its size is not sent`() throws {
    let coordinator = try TestCoordinator()
    var failure: ClientError?
    try withLoop { loop in
      let client = try client(settings(coordinator.url), on: loop)
      let text = String(repeating: "x", count: CoordinatorClient.maxRequestBytes)
      client.request("get_task", ["task_id": .string(text)]) {
        if case .failure(let error) = $0 { failure = error }
      }
      client.request("list_workers") { _ in loop.stop() }
    }
    guard case .tooLarge(_, CoordinatorClient.maxRequestBytes)? = failure else {
      Issue.record("\(String(describing: failure))")
      return
    }
    coordinator.stop()
  }

  @Test func `closing fails what was not answered`() throws {
    var failures: [ClientError] = []
    try withLoop { loop in
      let client = try client(settings("ws://127.0.0.1:1", patience: nil), on: loop)
      client.request("list_tasks") { if case .failure(let error) = $0 { failures.append(error) } }
      client.close()
      client.request("list_tasks") { if case .failure(let error) = $0 { failures.append(error) } }
      loop.afterTurn { loop.stop() }
      loop.schedule(after: .zero) { loop.stop() }
    }
    #expect(failures == [.closed, .closed])
  }
}

/// Ends every connection as soon as it is open.
private final class Dropper: WebSocketDelegate {
  func webSocketDidOpen(_ socket: WebSocketConnection) { socket.close() }
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocket.MessageKind) {}
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
}
