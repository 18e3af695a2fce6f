import Authentication
import CoordinationCore
import WebSocket
import WebSocketCore

/// One worker's connection: hands messages up, and takes bytes down.
final class WorkerSocket: WebSocketDelegate {
  let id: ConnectionID
  let workerID: WorkerID
  let mode: ConnectionMode
  /// With which key it came; `nil` while nobody needs one.
  let identity: Identity?
  /// What its messages must carry.
  let security: LinkSecurity
  private let runtime: CoordinatorRuntime
  private var socket: WebSocketConnection?
  private var buffer = OutgoingBytes()
  private var backpressure = Backpressure()

  init(
    _ id: ConnectionID, workerID: WorkerID, mode: ConnectionMode, _ pass: UpgradeGuard.Pass, runtime: CoordinatorRuntime
  ) {
    self.id = id
    self.workerID = workerID
    self.mode = mode
    identity = pass.identity
    // The reference's workers have no codes of ours, whatever they proved; ours have none of the reference's.
    security =
      switch pass.security {
      case .signed where mode == .legacy, .signedAsReference where mode == .session: .open
      case let security: security
      }
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
    if case .outboundOverflow = reason.error {
      runtime.log(LogEntry(.warning, "a peer that does not read is cut", ["peer": name, "reason": "\(reason)"]))
    }
    runtime.ended(self)
  }

  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) {
    if backpressure.drained() { runtime.congested(self, false) }
  }

  func send(_ bytes: [UInt8]) {
    guard let socket else { return }
    buffer.send(bytes, over: socket)
    if backpressure.sent(socket) { runtime.congested(self, true) }
  }

  func close(_ code: UInt16, _ reason: String) {
    socket?.close(code: CloseCode(rawValue: code), reason: reason)
  }

  func holdBack(_ held: Bool) {
    if held { socket?.pauseReading() } else { socket?.resumeReading() }
  }
}

extension WorkerSocket: SlowReader {
  var name: String { "worker \(workerID)" }
  var reading: SlowReaders<UInt64>.Reading { buffer.reading(of: socket) }
  func drop(_ reason: String) { close(RetryHint.tryAgainLater, reason) }
}
