import WebSocket
import WebSocketCore

/// Whether a connection between a coordinator and a worker has as much to write as it should.
///
/// What is beyond that waits in the core, where what is urgent overtakes it; in a socket's buffer everything waits behind
/// everything. The connection reports its high watermark when the turn is over, which is too late for a core that has a
/// thousand messages to hand over in one: so its buffer is looked at after every send.
struct Backpressure {
  /// A second's worth of a line of half a megabit per second.
  static let highWatermarkBytes = 64 << 10
  static let lowWatermarkBytes = 16 << 10

  private(set) var isOn = false

  /// - Returns: whether it has just begun.
  mutating func sent(_ socket: WebSocketConnection) -> Bool {
    guard !isOn, socket.pendingBytes > Self.highWatermarkBytes else { return false }
    isOn = true
    return true
  }

  /// - Returns: whether it has just ended.
  mutating func drained() -> Bool {
    defer { isOn = false }
    return isOn
  }
}

extension WebSocketConfiguration {
  /// Keeps little in the connection's buffer and in the kernel's.
  mutating func limitQueuedBytes() {
    highWatermarkBytes = Backpressure.highWatermarkBytes
    lowWatermarkBytes = Backpressure.lowWatermarkBytes
    maxUnsentKernelBytes = Backpressure.highWatermarkBytes
  }
}
