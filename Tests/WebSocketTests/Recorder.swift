import WebSocket

/// A delegate that keeps what it hears and lets a test react.
final class Recorder: WebSocketDelegate {
  enum Heard: Equatable, Sendable {
    case open
    case text(String)
    case binary([UInt8])
    case pong
    case high
    case low
    case close(CloseReason)
  }

  private(set) var heard: [Heard] = []
  private(set) var socket: WebSocketConnection?
  private let onEvent: (WebSocketConnection, Heard) -> Void

  init(_ onEvent: @escaping (WebSocketConnection, Heard) -> Void = { _, _ in }) {
    self.onEvent = onEvent
  }

  var closes: [CloseReason] {
    heard.compactMap { if case .close(let reason) = $0 { reason } else { nil } }
  }

  private func hear(_ event: Heard, from socket: WebSocketConnection) {
    heard.append(event)
    self.socket = socket
    if case .close = event { self.socket = nil }
    onEvent(socket, event)
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) { hear(.open, from: socket) }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    let bytes = message.withUnsafeBytes { Array($0) }
    hear(kind == .text ? .text(String(decoding: bytes, as: UTF8.self)) : .binary(bytes), from: socket)
  }

  func webSocketDidReceivePong(_ socket: WebSocketConnection) { hear(.pong, from: socket) }
  func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) { hear(.high, from: socket) }
  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) { hear(.low, from: socket) }
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) { hear(.close(reason), from: socket) }
}

/// Sends messages back, and holds reading back while the peer does not read.
final class Echo: WebSocketDelegate {
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    socket.send(message, kind)
  }
  func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) { socket.pauseReading() }
  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) { socket.resumeReading() }
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
}
