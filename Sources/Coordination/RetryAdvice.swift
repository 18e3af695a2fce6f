import CoordinationCore
import WebSocket
import WebSocketCore

extension WebSocketError {
  /// What a refused handshake asks us to wait.
  var retryAfter: Duration? {
    guard case .connection(.handshake(.refused(let refusal))) = self else { return nil }
    return refusal.headers["retry-after"].flatMap(RetryHint.delay(ofField:))
  }
}

extension CloseReason {
  /// What the Close frame asks us to wait.
  var retryAfter: Duration? { error == nil ? RetryHint.delay(ofClose: code.rawValue, reason: text) : nil }
}
