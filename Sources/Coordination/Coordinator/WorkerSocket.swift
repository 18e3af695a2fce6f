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
  private let frames: FileFrames
  private var filesInFlight = 0
  /// Questions about files that a worker may have open; more than its window ever is.
  private static let maxFilesInFlight = 64

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
    frames = FileFrames(security, .coordinator)
    self.runtime = runtime
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) {
    self.socket = socket
    runtime.opened(self, from: "\(socket.remoteAddress)")
  }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
    guard kind == .text else { return receivedFile(message.copied, socket) }
    runtime.received(message.copied, from: self)
  }

  private func receivedFile(_ bytes: [UInt8], _ socket: WebSocketConnection) {
    guard mode == .session else {
      return socket.close(code: .unsupportedData, reason: "messages are JSON text")
    }
    let frame: FileFrames.Frame
    do { frame = try frames.open(bytes) } catch {
      // Bytes changed on the way: over a new connection it is asked again, from where it stands.
      runtime.log(LogEntry(.warning, "file message refused", ["worker": workerID.text, "problem": "\(error)"]))
      return close(SessionCloseCode.brokenSession, "file message refused: \(error)")
    }
    guard filesInFlight < Self.maxFilesInFlight else {
      return close(CloseCode.policyViolation.rawValue, "more questions about files than are answered")
    }
    filesInFlight += 1
    let number = frame.words["request_id"] ?? .null
    runtime.received(frame, from: self) { [weak self] answer in
      guard let self else { return }
      filesInFlight -= 1
      guard let socket = self.socket else { return }
      var answer = answer
      answer.words["request_id"] = number
      buffer.send(file: frames.seal(answer), over: socket)
      if backpressure.sent(socket) { runtime.congested(self, true) }
    }
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

extension WorkerSocket: PeerSocket {
  var number: UInt64 { id.number }
  var name: String { "worker \(workerID)" }
  var reading: SlowReaders<UInt64>.Reading { buffer.reading(of: socket) }
  func drop(_ reason: String) { close(RetryHint.tryAgainLater, reason) }
}
