import Authentication
import Coordination
import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing
import WebSocket

/// Workers and clients that know more than one address. What is waited for comes within the ten seconds that `Exchange`
/// allows, while an address that gives no answer would take longer than that if it were waited for.
@Suite(.timeLimit(.minutes(5))) final class SeveralCoordinatorsTests {
  /// Nothing can listen at port 1 of this address without being root, and nothing does.
  private static let dead = "ws://127.0.0.1:1"

  private var client: CoordinatorClient?

  /// Accepts connections and says nothing.
  private func blackHole() throws -> RunningServer {
    try RunningServer { loop in
      try Listener.listen(at: .loopback(), on: loop) { $0.delegate = SilentPeer() }.localAddress
    }
  }

  /// Is too busy for anybody, and says for how long.
  private func busy(_ asked: Exchange<String>, seconds: Int = 3_600) throws -> RunningServer {
    try RunningServer { loop in
      try WebSocketServer.listen(at: .loopback(), on: loop) { request in
        asked.put(request.path)
        return .reject(status: 503, message: "busy", headers: ["Retry-After": "\(seconds)"])
      }.localAddress
    }
  }

  private func patient(_ id: String, _ urls: [String]) -> WorkerSettings {
    var settings = WorkerSettings.short(id, urls.joined(separator: ","))
    // A silent handshake is given up after ten seconds.
    settings.heartbeatTimeout = .seconds(30)
    return settings
  }

  private func settings(_ urls: [String], patience: Duration? = .seconds(9)) -> ClientSettings {
    var settings = ClientSettings()
    settings.coordinator = urls.joined(separator: ", ")
    settings.patience = patience
    settings.backoff = Backoff.Configuration(base: .milliseconds(5), cap: .milliseconds(20), usefulSession: .seconds(1))
    return settings
  }

  @Test func `a worker finds the one that is well among one dead, one silent and one busy, at its first attempt`()
    throws
  {
    let coordinator = try TestCoordinator()
    let (hole, asked) = (try blackHole(), Exchange<String>())
    let busy = try busy(asked)
    let urls = [Self.dead, "ws://\(hole.address)", "ws://\(busy.address)", coordinator.url]
    for number in 1...8 {
      let worker = try ScriptedWorker(patient("w\(number)", urls))
      _ = coordinator.registered("w\(number)")
      worker.connected()
      #expect(worker.statistics.attempts == 1)
      #expect(worker.statistics.failures == 0)
      worker.stop()
    }
    busy.stop()
    hole.stop()
    coordinator.stop()
  }

  @Test func `a client finds the one that is well, too`() throws {
    let coordinator = try TestCoordinator()
    let (hole, asked) = (try blackHole(), Exchange<String>())
    let busy = try busy(asked)
    var (answers, changes) = (0, [String?]())
    try withLoop { loop in
      let urls = [Self.dead, "ws://\(hole.address)", "ws://\(busy.address)", coordinator.url]
      let client = try CoordinatorClient(settings(urls), on: loop)
      self.client = client
      client.onConnectionChange = { changes.append($0) }
      client.request("list_workers") {
        if case .success = $0 { answers += 1 }
        loop.stop()
      }
    }
    #expect(answers == 1)
    #expect(changes.first == .some(nil))
    busy.stop()
    hole.stop()
    coordinator.stop()
  }

  @Test func `a worker whose coordinator ends goes to another, and its hint to wait is not for that one`() throws {
    let coordinators = [try TestCoordinator(), try TestCoordinator()]
    let worker = try ScriptedWorker(patient("w1", coordinators.map(\.url)))
    worker.connected()
    let home = coordinators.firstIndex { $0.workers.contains { $0.id.text == "w1" } }
    let first = try #require(home)
    // Everybody is sent away with a hint to come back in some seconds.
    coordinators[first].stop()
    _ = coordinators[1 - first].registered("w1")
    worker.connected()
    #expect(worker.statistics.successes == 2)
    worker.stop()
    coordinators[1 - first].stop()
  }

  @Test func `a connection that was only cut leads back to the same coordinator, which still has the session`() throws {
    let coordinators = [try TestCoordinator(), try TestCoordinator()]
    let relays = try coordinators.map { try FaultRelay(to: $0.address) }
    let worker = try ScriptedWorker(patient("w1", relays.map(\.url)))
    worker.connected()
    var sessions = [worker.sessionID]
    for _ in 0..<10 {
      relays.forEach { $0.cut() }
      worker.connected()
      sessions.append(worker.sessionID)
    }
    // By chance half of them would stay. On a machine that is held up the other one may win a race.
    let stayed = zip(sessions, sessions.dropFirst()).count { $0 == $1 }
    #expect(stayed >= 8, "\(sessions)")
    worker.stop()
    relays.forEach { $0.stop() }
    coordinators.forEach { $0.stop() }
  }

  @Test func `one that does not know the key is passed over`() throws {
    let key = try APIKey("a-long-enough-key")
    let (open, keyed) = (
      try TestCoordinator(), try TestCoordinator { $0.security.keys = KeyRing([KeyRecord(key, roles: [.admin])]) }
    )
    for number in 1...4 {
      var settings = patient("w\(number)", [open.url, keyed.url])
      settings.apiKey = key
      let worker = try ScriptedWorker(settings)
      _ = keyed.registered("w\(number)")
      worker.stop()
    }
    #expect(open.workers.isEmpty)
    var answers = 0
    try withLoop { loop in
      var settings = settings([open.url, keyed.url])
      settings.apiKey = key
      let client = try CoordinatorClient(settings, on: loop)
      self.client = client
      client.request("list_workers") {
        if case .success = $0 { answers += 1 }
        loop.stop()
      }
    }
    #expect(answers == 1)
    keyed.stop()
    open.stop()
  }

  @Test func `when nobody answers, the error says of each why`() throws {
    let asked = Exchange<String>()
    let busy = try busy(asked)
    var failure: ClientError?
    let urls = [Self.dead, "ws://\(busy.address)"]
    try withLoop { loop in
      let client = try CoordinatorClient(settings(urls, patience: .milliseconds(300)), on: loop)
      self.client = client
      client.request("list_workers") {
        if case .failure(let error) = $0 { failure = error }
        loop.stop()
      }
    }
    guard case .unreachable(let address, let cause, _)? = failure else {
      Issue.record("\(String(describing: failure))")
      return busy.stop()
    }
    #expect(address == urls.joined(separator: ", "))
    #expect(cause.contains("\(Self.dead): "), "\(cause)")
    // Its hint keeps everybody from asking it a second time, not from being told of it.
    #expect(asked.take() == Protocols.clientPath)
    busy.stop()
  }

  @Test func `a client gives up at once only when no address leads to a coordinator`() throws {
    let server = try RunningServer { loop in
      try WebSocketServer.listen(at: .loopback(), on: loop) { _ in .reject(status: 404, message: "nothing here") }
        .localAddress
    }
    let other = try RunningServer { loop in
      try WebSocketServer.listen(at: .loopback(), on: loop) { _ in .reject(status: 404, message: "nothing here") }
        .localAddress
    }
    let coordinator = try TestCoordinator()
    let ends: [(urls: [String], isReached: Bool)] = [
      (["ws://\(server.address)", "ws://\(other.address)"], false),
      (["ws://\(server.address)", coordinator.url], true),
    ]
    for end in ends {
      var result: Result<JSONObject, ClientError>?
      try withLoop { loop in
        let client = try CoordinatorClient(settings(end.urls, patience: nil), on: loop)
        self.client = client
        client.request("list_workers") {
          result = $0
          loop.stop()
        }
      }
      switch result {
      case .success: #expect(end.isReached)
      case .failure(.notACoordinator(_, let cause)):
        #expect(!end.isReached)
        #expect(end.urls.allSatisfy { cause.contains("\($0): it answered with status 404") }, "\(cause)")
      case let other: Issue.record("\(String(describing: other))")
      }
    }
    coordinator.stop()
    other.stop()
    server.stop()
  }
}

struct CoordinatorAddressesTests {
  @Test(arguments: [
    ("ws://a:1", ["ws://a:1"]), ("ws://a:1,ws://b:2", ["ws://a:1", "ws://b:2"]),
    ("ws://a:1, ws://b:2 ,ws://[::1]:3", ["ws://a:1", "ws://b:2", "ws://[::1]:3"]),
    ("wss://a,wss://a:444", ["wss://a", "wss://a:444"]),
  ])
  func `addresses stand in their order, with commas between them`(text: String, addresses: [String]) throws {
    let read = try CoordinatorAddresses(text)
    #expect(read.urls == (try addresses.map { try WebSocketURL($0) }))
  }

  @Test(arguments: [
    ("", "expected ws://HOST:PORT"), ("ws://a:1,", "beside one"), (",ws://a:1", "beside one"),
    ("ws://a:1,,ws://b:1", "between two commas"), ("ws://a:1,b:2", "address b:2 is wrong"),
    ("ws://a:1,ws://A:1", "address ws://A:1 is wrong: it is in the list twice"), ("ws://a,ws://a:80", "twice"),
    ("ws://a:1,wss://b:1", "ws://a:1 is in the same list"), ("wss://a:1 ws://b:1", "is wrong"),
    ((1...65).map { "ws://a:\($0)" }.joined(separator: ","), "at most 64 addresses"),
  ])
  func `a list that is none is said to be, and why`(text: String, part: String) throws {
    let problem = #expect(throws: CoordinatorAddresses.Problem.self) { try CoordinatorAddresses(text) }
    #expect(problem?.description.contains(part) == true, "\(String(describing: problem))")
  }
}

/// Takes what comes and never answers.
private final class SilentPeer: ConnectionDelegate {
  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {}
  func connectionDidClose(_ connection: Connection, error: SystemError?) {}
}
