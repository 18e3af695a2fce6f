import Reactor

/// A delegate that remembers what it was told and forwards what a test cares about.
final class Recorder: ConnectionDelegate {
  var received: [UInt8] = []
  var receivedBytes = 0
  var keepsBytes = true
  var sawEnd = false
  var rises = 0
  var drains = 0
  var closes: [SystemError?] = []
  var onReceive: (Connection) -> Void = { _ in }
  /// nil leaves the default: close.
  var onEnd: ((Connection) -> Void)?
  var onRise: (Connection) -> Void = { _ in }
  var onDrain: (Connection) -> Void = { _ in }
  var onClose: (Connection) -> Void = { _ in }
  let onDeinit: () -> Void

  init(onDeinit: @escaping () -> Void = {}) { self.onDeinit = onDeinit }

  deinit { onDeinit() }

  var text: String { String(decoding: received, as: UTF8.self) }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    receivedBytes += bytes.byteCount
    if keepsBytes { bytes.withUnsafeBytes { received += Array($0) } }
    onReceive(connection)
  }

  func connectionDidReachEndOfStream(_ connection: Connection) {
    sawEnd = true
    if let onEnd { onEnd(connection) } else { connection.close() }
  }

  func connectionDidRiseAboveHighWatermark(_ connection: Connection) {
    rises += 1
    onRise(connection)
  }

  func connectionDidDrainBelowLowWatermark(_ connection: Connection) {
    drains += 1
    onDrain(connection)
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    closes.append(error)
    onClose(connection)
    // The closures usually capture the recorder itself.
    onReceive = { _ in }
    onEnd = nil
    onRise = { _ in }
    onDrain = { _ in }
    onClose = { _ in }
  }
}
