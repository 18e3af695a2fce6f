import CoordinationCore
import WebSocket
import WebSocketCore

/// One connection to the coordinator.
final class WorkerLinkSocket: WebSocketDelegate {
  /// Whom it is to.
  let url: WebSocketURL
  /// What proved our key to it, and knows its answer.
  let signer: UpgradeSigner?
  private let opened: (WorkerLinkSocket, ConnectionMode, HTTPHeaders) -> Void
  private let received: (WorkerLinkSocket, [UInt8]) -> Void
  private let receivedFile: (WorkerLinkSocket, [UInt8]) -> Void
  private let heldBack: (WorkerLinkSocket, Bool) -> Void
  private let closed: (WorkerLinkSocket, CloseReason) -> Void
  private var socket: WebSocketConnection?
  private var backpressure = Backpressure()

  /// Whether more waits to be written than should.
  var isHeldBack: Bool { backpressure.isOn }

  init(
    _ url: WebSocketURL, _ signer: UpgradeSigner?,
    opened: @escaping (WorkerLinkSocket, ConnectionMode, HTTPHeaders) -> Void,
    received: @escaping (WorkerLinkSocket, [UInt8]) -> Void,
    receivedFile: @escaping (WorkerLinkSocket, [UInt8]) -> Void, heldBack: @escaping (WorkerLinkSocket, Bool) -> Void,
    closed: @escaping (WorkerLinkSocket, CloseReason) -> Void
  ) {
    self.url = url
    self.signer = signer
    self.opened = opened
    self.received = received
    self.receivedFile = receivedFile
    self.heldBack = heldBack
    self.closed = closed
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) {
    self.socket = socket
    opened(self, socket.subprotocol == Protocols.session ? .session : .legacy, socket.responseHeaders)
  }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
    if kind == .text { received(self, message.copied) } else { receivedFile(self, message.copied) }
  }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {
    self.socket = nil
    closed(self, reason)
  }

  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) {
    if backpressure.drained() { heldBack(self, false) }
  }

  func send(_ bytes: [UInt8]) {
    guard let socket else { return }
    socket.send(text: bytes)
    if backpressure.sent(socket) { heldBack(self, true) }
  }

  /// A message about a file: bytes that do not shrink, so they are not compressed.
  func send(file frame: [UInt8]) {
    guard let socket else { return }
    socket.send(file: frame)
    if backpressure.sent(socket) { heldBack(self, true) }
  }

  func leave(_ code: UInt16, _ reason: String) { socket?.close(code: CloseCode(rawValue: code), reason: reason) }
}
