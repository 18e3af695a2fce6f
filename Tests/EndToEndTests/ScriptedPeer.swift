import CoordinationCore
import Primitives
import Reactor
import TestSupport
import WebSocket
import WebSocketCore

/// A WebSocket peer that says what the test says, right or wrong, and hears everything.
final class ScriptedPeer: Sendable {
  enum Event: Sendable {
    case message(JSONObject)
    case closed(code: UInt16, reason: String)
  }

  let events: EventLog<Event>
  let subprotocol: String?
  private let thread: EventLoopThread
  private let socket: LoopBound<WebSocketConnection>

  /// Connects; throws what refused the upgrade.
  convenience init(
    _ fleet: Fleet, _ target: String, offering subprotocol: String?, headers: [(String, String)] = []
  ) throws {
    try self.init(port: fleet.port, target, offering: subprotocol, headers: headers)
  }

  init(port: UInt16, _ target: String, offering subprotocol: String?, headers: [(String, String)] = []) throws {
    let events = EventLog<Event>("peer at \(target)")
    self.events = events
    let made = Exchange<Result<(LoopBound<WebSocketConnection>, String?), any Error>>()
    let url = try WebSocketURL(host: "127.0.0.1", port: port, target: target)
    thread = try EventLoopThread(name: "peer") { loop in
      var fields = HTTPHeaders()
      for (name, value) in headers { fields.append(name, value) }
      var configuration = WebSocketConfiguration()
      configuration.maxMessageBytes = 16 << 20
      configuration.subprotocols = subprotocol.map { [$0] } ?? []
      WebSocketClient.connect(
        to: url, on: loop, configuration: configuration, headers: fields, delegate: Recorder(events)
      ) { result in
        made.put(result.map { (LoopBound($0, to: loop), $0.subprotocol) }.mapError { $0 })
      }
    }
    do { (socket, self.subprotocol) = try made.take().get() } catch {
      thread.stop()
      throw error
    }
  }

  deinit { thread.stop() }

  private final class Recorder: WebSocketDelegate {
    let events: EventLog<Event>
    init(_ events: EventLog<Event>) { self.events = events }

    func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
      let bytes = message.withUnsafeBytes { Array($0) }
      let object = (try? JSONParser.parse(bytes))?.object
      events.put(.message(object ?? ["type": "unreadable", "bytes": .integer(Int64(bytes.count))]))
    }

    func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {
      events.put(.closed(code: reason.code.rawValue, reason: reason.text))
    }
  }

  func send(_ text: String) {
    let socket = socket
    thread.mailbox.post { socket.value.send(text: text) }
  }

  func send(_ object: JSONObject) { send(JSONValue.object(object).text) }

  /// In session mode's envelope.
  func send(sealed object: JSONObject, sequence: UInt64? = nil) {
    send(sealed: JSONValue.object(object).text, sequence)
  }

  func send(sealed text: String, _ sequence: UInt64? = nil) {
    send(String(decoding: Envelope.seal(Array(text.utf8), sequence: sequence, acknowledgement: 0), as: UTF8.self))
  }

  func send(binary bytes: [UInt8]) {
    let socket = socket
    thread.mailbox.post { socket.value.send(binary: bytes) }
  }

  func close() {
    let socket = socket
    thread.mailbox.post { socket.value.close(code: .normal, reason: "") }
  }

  var messages: [JSONObject] { events.all.compactMap { if case .message(let object) = $0 { object } else { nil } } }

  /// Waits for a message of this type that fits, from the `start`th event on.
  @discardableResult
  func hears(
    _ type: String, from start: Int = 0, where fits: (JSONObject) -> Bool = { _ in true }
  ) throws -> JSONObject {
    try events.wait(for: type) { events in
      for case .message(let object) in events.dropFirst(start) where object.text("type") == type && fits(object) {
        return object
      }
      return nil
    }
  }

  /// Waits for the connection's end.
  func isClosed() throws -> (code: UInt16, reason: String) {
    try events.wait(for: "close") { events in
      for case .closed(let code, let reason) in events { return (code, reason) }
      return nil
    }
  }
}
