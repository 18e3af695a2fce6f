import Authentication
import Coordination
import CoordinationCore
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// Who may ask the API, and from where.
@Suite(.timeLimit(.minutes(5))) struct APISecurityTests {
  private static let task = #"{"command":["true"],"task_id":"t"}"#
  private static let json = ("Content-Type", "application/json")

  private func coordinator(_ keys: [(APIKey, Set<Role>)] = []) throws -> TestCoordinator {
    try TestCoordinator { settings in
      guard !keys.isEmpty else { return }
      settings.security.keys = Self.ring(keys)
    }
  }

  private static func ring(_ keys: [(APIKey, Set<Role>)]) -> KeyRing {
    KeyRing(keys.map { KeyRecord($0.0, roles: $0.1) })
  }

  private func problem(_ answer: HTTPPeer.Answer) -> String? {
    #expect(answer.fields["content-type"] == "application/problem+json", "\(answer.text)")
    return try? answer.json["type"]?.string?.split(separator: ":").last.map(String.init)
  }

  @Test(arguments: ["http://evil.example", "null", "http://localhost", "http://localhost:1"])
  func `a page of another site neither reads nor orders`(origin: String) throws {
    let coordinator = try coordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address, host: "localhost:\(coordinator.address.port ?? 0)")
    for path in ["/api/v1/tasks", "/api/v1/events", "/metrics", "/nothing"] {
      let answer = try peer.ask("GET", path, [("Origin", origin)])
      #expect(answer.status == 403 && problem(answer) == "foreign-origin")
      #expect(answer.fields["access-control-allow-origin"] == nil)
    }
    #expect(try peer.ask("POST", "/api/v1/tasks", [("Origin", origin), Self.json], Self.task).status == 403)
    #expect(try peer.get("/api/v1/tasks/t").status == 404)
    let preflight = try peer.ask("OPTIONS", "/api/v1/tasks", [("Access-Control-Request-Method", "POST")])
    #expect(preflight.status == 405 && preflight.fields["allow"] == "POST, GET, HEAD")
    #expect(!preflight.fields.keys.contains { $0.hasPrefix("access-control") })
  }

  @Test func `a page of the coordinator's own may`() throws {
    let coordinator = try coordinator()
    defer { coordinator.stop() }
    let host = "localhost:\(coordinator.address.port ?? 0)"
    let peer = try HTTPPeer(coordinator.address, host: host)
    #expect(try peer.ask("POST", "/api/v1/tasks", [("Origin", "http://\(host)"), Self.json], Self.task).status == 201)
  }

  @Test(arguments: ["/api/v1/client/ws", "/api/v1/worker/w1/ws"])
  func `no page of another site opens a WebSocket, and programs do as ever`(path: String) throws {
    let coordinator = try coordinator()
    defer { coordinator.stop() }
    func status(_ host: String, _ origin: String?) throws -> Int {
      let peer = try HTTPPeer(coordinator.address, host: host)
      var fields = [
        ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
      ]
      if let origin { fields.append(("Origin", origin)) }
      try peer.send("GET", path, fields)
      return try peer.head().status
    }
    #expect(try status("localhost:1", "http://evil.example") == 403)
    // A name that was made to resolve to this address.
    #expect(try status("evil.example:1", "http://evil.example:1") == 403)
    #expect(try status("localhost:1", "http://localhost:1") == 101)
    #expect(try status("anything.example", nil) == 101)
  }

  @Test func `without keys another site's name is not answered to, except where only health is told`() throws {
    let coordinator = try coordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address, host: "evil.example:8765")
    for path in ["/api/v1/overview", "/api/v1/tasks", "/dashboard"] {
      let answer = try peer.get(path)
      #expect(answer.status == 403 && problem(answer) == "unknown-host")
    }
    #expect(try peer.ask("POST", "/api/v1/tasks", [Self.json], Self.task).status == 403)
    for path in ["/healthz", "/readyz", "/metrics"] { #expect(try peer.get(path).status == 200) }
  }

  @Test func `keys open what their roles allow`() throws {
    let keys = Dictionary(
      uniqueKeysWithValues: Role.allCases.map { ($0, APIKey.generate(name: $0.rawValue)) })
    let coordinator = try coordinator(keys.map { ($0.value, [$0.key]) })
    defer { coordinator.stop() }
    // With keys the coordinator may be called by any name.
    let peer = try HTTPPeer(coordinator.address, host: "build.example")
    let without = try peer.get("/api/v1/overview")
    #expect(without.status == 401 && problem(without) == "unauthorized")
    #expect(without.fields["www-authenticate"] == "Bearer")
    // Those who may not ask are not told what there is.
    #expect(try peer.get("/api/v1/nothing").status == 401)
    for (role, reads, submits) in [
      (Role.readOnly, 200, 403), (.submitter, 200, 201), (.worker, 403, 403), (.admin, 200, 201),
    ] {
      let bearer = ("Authorization", "Bearer \(keys[role]?.text ?? "")")
      #expect(try peer.ask("GET", "/api/v1/overview", [bearer]).status == reads, "\(role)")
      let body = #"{"command":["true"]}"#
      let answer = try peer.ask("POST", "/api/v1/tasks", [bearer, Self.json], body)
      #expect(answer.status == submits, "\(role)")
      if submits == 403 { #expect(problem(answer) == "forbidden") }
    }
  }

  @Test func `a stream ends when its key is withdrawn`() throws {
    let (reader, other) = (APIKey.generate(name: "reader"), APIKey.generate(name: "other"))
    let coordinator = try coordinator([(reader, [.readOnly]), (other, [.readOnly])])
    defer { coordinator.stop() }
    func listener(_ key: APIKey) throws -> HTTPPeer {
      let peer = try HTTPPeer(coordinator.address)
      try peer.send("GET", "/api/v1/events", [("Authorization", "Bearer \(key.text)")])
      #expect(try peer.head().status == 200)
      return peer
    }
    let (gone, kept) = (try listener(reader), try listener(other))
    let ring = Self.ring([(other, [.readOnly])])
    let _: Bool = coordinator.onLoop { runtime, done in
      runtime.replace(keys: ring)
      done.put(true)
    }
    while try gone.chunk() != nil {}
    // An overview that was made after it.
    _ = try kept.chunks(until: "event: overview")
    _ = try kept.chunks(until: "event: overview")
  }
}
