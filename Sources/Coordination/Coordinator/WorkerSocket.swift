import CoordinationCore
import WebSocket
import WebSocketCore

/// One worker's connection: hands messages up, and takes bytes down.
final class WorkerSocket: WebSocketDelegate {
  let id: ConnectionID
  let workerID: WorkerID
  let mode: ConnectionMode
  private let runtime: CoordinatorRuntime
  private var socket: WebSocketConnection?
  private var backpressure = Backpressure()

  init(_ id: ConnectionID, workerID: WorkerID, mode: ConnectionMode, runtime: CoordinatorRuntime) {
    self.id = id
    self.workerID = workerID
    self.mode = mode
    self.runtime = runtime
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) {
    self.socket = socket
    runtime.opened(self, from: "\(socket.remoteAddress)")
  }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
    guard kind == .text else {
      return socket.close(code: .unsupportedData, reason: "messages are JSON text")
    }
    runtime.received(message.copied, from: self)
  }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {
    self.socket = nil
    runtime.ended(self)
  }

  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) {
    if backpressure.drained() { runtime.heldBack(self, false) }
  }

  func send(_ bytes: [UInt8]) {
    guard let socket else { return }
    socket.send(text: bytes)
    if backpressure.sent(socket) { runtime.heldBack(self, true) }
  }

  func close(_ code: UInt16, _ reason: String) {
    socket?.close(code: CloseCode(rawValue: code), reason: reason)
  }

  func holdBack(_ held: Bool) {
    if held { socket?.pauseReading() } else { socket?.resumeReading() }
  }
}
