import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing
import WebSocket
import WebSocketCore

extension EndToEnd {
  /// Nonsense over real sockets to a live coordinator: each is told what and where, and nobody else is disturbed.
  @Suite struct BadInputTests {
    private static let clientPath = "/api/v1/client/ws"

    /// What a peer may say wrong, and what the answer must name.
    private static let texts: [(text: String, names: [String])] = [
      ("hello", ["not JSON", "at byte 0"]), ("", ["not JSON", "at byte 0"]),
      (#"{"type":"heartbeat","sequence":1"#, ["not JSON", "at byte 32"]),
      ("[1,2]", ["a JSON object", "an array"]), ("{}", ["type is missing"]),
      (#"{"type":7}"#, ["type must be a string", "an integer"]),
      (String(repeating: #"{"a":"#, count: 100), ["nested more than 64 levels"]),
    ]

    /// The coordinator still does what it is there for.
    private func works(_ fleet: Fleet, _ name: String) throws {
      let id = try fleet.submit(name, "echo alive")
      let task = try fleet.ended(id)
      #expect(task.text("stdout") == "alive\n")
      #expect(task.outcomes == ["completed"])
    }

    private func expect(_ text: String, names: [String], for input: String) {
      for name in names { #expect(text.contains(name), "\(input.prefix(60)) is answered with: \(text)") }
    }

    @Test func `a client's nonsense is answered with what and where`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let requests: [(text: String, code: String, names: [String])] =
        Self.texts.map { ($0.text, "bad_request", $0.names) } + [
          (#"{"type":"dance","request_id":1}"#, "bad_request", ["unknown request type dance"]),
          (#"{"type":"get_task","request_id":1}"#, "bad_request", ["task_id is missing"]),
          (#"{"type":"get_task","request_id":1,"task_id":5}"#, "bad_request", ["task_id must be a string"]),
          (#"{"type":"get_task","request_id":1,"task_id":"no such"}"#, "bad_request", ["task_id", "\" \""]),
          (#"{"type":"get_task","request_id":1,"task_id":"nobody"}"#, "not_found", ["nobody"]),
          (#"{"type":"cancel_task","request_id":1,"task_id":"nobody"}"#, "not_found", ["nobody"]),
          (#"{"type":"submit","request_id":1}"#, "bad_request", ["tasks is missing"]),
          (#"{"type":"submit","request_id":1,"tasks":{}}"#, "bad_request", ["tasks must be an array"]),
          (#"{"type":"submit","request_id":1,"tasks":[7]}"#, "bad_request", ["tasks[0] must be an object"]),
          (#"{"type":"submit","request_id":1,"tasks":[{"name":"x"}]}"#, "bad_request", ["tasks[0]", "command"]),
          (#"{"type":"submit","request_id":1,"tasks":[{"command":[]}]}"#, "bad_request", ["tasks[0]", "command"]),
          (
            #"{"type":"submit","request_id":1,"tasks":[{"command":["true"]},{"command":"true"}]}"#, "bad_request",
            ["tasks[1]", "command", "an array"]
          ),
          (
            #"{"type":"submit","request_id":1,"tasks":[{"command":["true"],"timeout":3}]}"#, "bad_request",
            ["tasks[0]", "unknown field timeout", "timeout_s"]
          ),
          (#"{"type":"list_tasks","request_id":1,"limit":0}"#, "bad_request", ["limit", "not between 1 and 1000"]),
          (#"{"type":"list_tasks","request_id":1,"statuses":["done"]}"#, "bad_request", ["done", "completed"]),
        ]
      let peer = try ScriptedPeer(fleet, Self.clientPath, offering: Protocols.client)
      for request in requests {
        let heard = peer.events.count
        peer.send(request.text)
        let answer = try peer.hears("error", from: heard)
        #expect(answer.text("code") == request.code, "\(request.text.prefix(80))")
        expect(answer.text("message"), names: request.names, for: request.text)
        if request.text.contains("request_id") { #expect(answer.number("request_id") == 1) }
      }
      // The same connection still serves.
      peer.send(["type": "count_tasks", "request_id": 99])
      #expect(try peer.hears("reply").number("request_id") == 99)
      try works(fleet, "after-client")
      #expect(try fleet.tasks().count == 1, "nothing that was refused was half done")
    }

    @Test func `a worker's nonsense is answered with what and where in the original protocol`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let peer = try ScriptedPeer(fleet, "/api/v1/worker/bad/ws", offering: nil)
      peer.send(["type": "registration", "worker_id": "bad", "capabilities": [:]])
      try peer.hears("registration_ack")
      let messages =
        Self.texts + [
          (#"{"type":"dance"}"#, ["unknown message type dance"]),
          (#"{"type":"task_result","result":{}}"#, ["task_result", "task_id is missing"]),
          (#"{"type":"task_state","task_id":[]}"#, ["task_state", "task_id must be a string", "an array"]),
          (#"{"type":"checkpoint_data","task_id":""}"#, ["checkpoint_data", "task_id", "empty"]),
          (#"{"type":"heartbeat","active_tasks":3}"#, ["heartbeat", "active_tasks must be an array"]),
          (#"{"type":"registration","capabilities":"all"}"#, ["registration", "capabilities must be an object"]),
        ]
      for message in messages {
        let heard = peer.events.count
        peer.send(message.text)
        expect(try peer.hears("error", from: heard).text("message"), names: message.names, for: message.text)
      }
      let heard = peer.events.count
      peer.send(["type": "heartbeat", "sequence": 5, "active_tasks": []])
      #expect(try peer.hears("heartbeat", from: heard).number("response_to") == 5)
      try works(fleet, "after-legacy")
    }

    @Test func `a session is ended by what its own kind cannot have said, and bears with the rest`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      func session(_ id: String) throws -> ScriptedPeer {
        let peer = try ScriptedPeer(fleet, "/api/v1/worker/\(id)/ws", offering: Protocols.session)
        #expect(peer.subprotocol == Protocols.session)
        peer.send(sealed: [
          "type": "registration", "worker_id": .string(id), "boot_id": "boot",
          "capabilities": ["slots": 1, "kinds": []],
        ])
        try peer.hears("registration_ack")
        return peer
      }
      // Unsealed, or sealed and not a message: it changed on its way.
      let broken: [(text: String, sealed: Bool, names: [String])] =
        [
          ("hello", false, ["crc is missing"]), (#"{"type":"heartbeat"}"#, false, ["crc is missing"]),
          (#"{"type":"heartbeat","crc":"00000000"}"#, false, ["checksum"]),
          (#"{"type":"heartbeat",x}"#, true, ["not JSON", "at byte 20"]),
          (#"{"sequence":7}"#, true, ["type is missing"]),
          (#"{"type":7}"#, true, ["type must be a string"]),
        ]
      for (index, message) in broken.enumerated() {
        let peer = try session("broken\(index)")
        message.sealed ? peer.send(sealed: message.text) : peer.send(message.text)
        expect(try peer.hears("error").text("message"), names: message.names, for: message.text)
        let close = try peer.isClosed()
        #expect(close.code == SessionCloseCode.brokenSession)
        expect(close.reason, names: message.names, for: message.text)
      }
      let peer = try session("bearable")
      let messages: [(text: String, names: [String])] = [
        (#"{"type":"dance"}"#, ["unknown message type dance"]),
        (#"{"type":"task_result","attempt":1,"status":"completed"}"#, ["task_result", "task_id is missing"]),
        (#"{"type":"task_result","task_id":"x","status":"completed"}"#, ["task_result", "attempt is missing"]),
        (
          #"{"type":"checkpoint","task_id":"x","attempt":-1,"number":1}"#,
          ["checkpoint", "attempt", "not between 1 and"]
        ),
        (#"{"type":"state_sync","tasks":"all"}"#, ["state_sync", "tasks must be an array"]),
      ]
      for (index, message) in messages.enumerated() {
        let heard = peer.events.count
        peer.send(sealed: message.text, UInt64(index + 1))
        expect(try peer.hears("error", from: heard).text("message"), names: message.names, for: message.text)
      }
      let gap = try session("gap")
      gap.send(sealed: ["type": "task_state", "task_id": "x", "attempt": 1], sequence: 9)
      let close = try gap.isClosed()
      #expect(close.code == SessionCloseCode.brokenSession)
      #expect(close.reason.contains("message 9 where 1 was due"))
      let unregistered = try ScriptedPeer(fleet, "/api/v1/worker/unregistered/ws", offering: Protocols.session)
      unregistered.send(sealed: ["type": "heartbeat", "sequence": 1])
      #expect(try unregistered.isClosed().reason.contains("heartbeat before registration"))
      try works(fleet, "after-session")
    }

    @Test(
      arguments: [
        // Clients and sessions exchange files in binary messages, and these bytes are of none.
        (clientPath, Protocols.client, 1008, "file message"),
        ("/api/v1/worker/w2/ws", Protocols.session, SessionCloseCode.brokenSession, "file message"),
        ("/api/v1/worker/w2/ws", nil, 1003, "text"),
      ] as [(String, String?, UInt16, String)])
    func `what is too long is closed with 1009, and binary nonsense with a reason`(
      target: String, subprotocol: String?, code: UInt16, reason: String
    ) throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let long = try ScriptedPeer(fleet, target, offering: subprotocol)
      long.send(String(repeating: "x", count: Protocols.maxMessageBytes + 1))
      #expect(try long.isClosed().code == 1009)
      let binary = try ScriptedPeer(fleet, target, offering: subprotocol)
      binary.send(binary: [0xFF, 0xFE, 0, 0x7B])
      let close = try binary.isClosed()
      #expect(close.code == code)
      #expect(close.reason.contains(reason), "\(close.reason)")
      try works(fleet, "after-bytes")
    }

    @Test(
      arguments: [
        ("/api/v1/worker/\(String(repeating: "x", count: 300))/ws", "400", ["300 characters", "at most 128"]),
        ("/api/v1/worker/a%20b/ws", "400", ["worker id", #"\" \""#]),
        ("/api/v1/worker/%FF/ws", "400", ["worker id", "UTF-8"]),
        ("/api/v1/worker//ws", "404", ["/api/v1/worker/{worker_id}/ws"]),
        ("/nowhere", "404", ["no such path", "/api/v1/client/ws"]),
      ] as [(String, String, [String])])
    func `a wrong path is refused before the upgrade, with the right one`(
      target: String, status: String, names: [String]
    ) throws {
      let fleet = try Fleet()
      let socket = try BlockingSocket(to: fleet.address)
      try socket.send(
        "GET \(target) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
      let answer = String(decoding: try socket.receiveToEnd(), as: UTF8.self)
      #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
      expect(answer, names: names, for: target)
      _ = try fleet.worker("w1")
      try works(fleet, "after-path")
    }

    @Test func `whoever does not speak HTTP, or stops in the middle, holds nobody up`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let rude = try BlockingSocket(to: fleet.address)
      try rude.send("\u{0}\u{1}\u{2} SSH-2.0\r\n\r\n")
      _ = try rude.receiveToEnd()
      let slow = try BlockingSocket(to: fleet.address)
      try slow.send("GET /api/v1/client/ws HTTP/1.1\r\nHo")
      let deaf = try BlockingSocket(to: fleet.address)
      try deaf.send(
        "GET \(Self.clientPath) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
      // Text without a mask: a client must not send it (RFC 6455 §5.1).
      try deaf.send([0x81, 0x02, 0x7B, 0x7D])
      let end = try deaf.receiveToEnd()
      #expect(end.suffix(80).contains(0x88), "a Close frame")
      try works(fleet, "after-rudeness")
      slow.close()
    }
  }
}
