import Authentication
import CoordinationCore
import WebSocket

/// Sends a task's output as it comes, until the task has ended.
///
/// Pieces say where in their stream they belong, and may be lost with a connection; the attempt's end brings the whole. So
/// what has been sent is counted, and whatever is missing at the end follows then.
final class LogFollower {
  /// What may wait for it, in bytes: both streams of several attempts.
  private static let maxUnreadBytes = 4 << 20

  let task: TaskID
  let identity: Identity?
  private let stream: HTTPStream
  private let streams: Set<OutputStream>
  private var attempt = 0
  /// How much of each stream of the attempt was sent, in bytes.
  private var sent: [OutputStream: Int] = [:]

  init(_ task: TaskID, _ streams: Set<OutputStream>, over stream: HTTPStream, _ identity: Identity?) {
    self.task = task
    self.streams = streams
    self.stream = stream
    self.identity = identity
  }

  var isOpen: Bool { stream.isOpen }
  var onClose: (() -> Void)? {
    get { stream.onClose }
    set { stream.onClose = newValue }
  }

  /// What the store has by now: the rest of the attempt that was followed, and then the newest one's.
  func caughtUp(with detail: TaskDetail) {
    if attempt > 0, attempt < detail.task.state.attempt { send(detail.output[attempt]) }
    begin(detail.task.state.attempt)
    // Of this attempt and no other, or what an earlier one wrote would be counted as its.
    send(detail.output[attempt])
  }

  private func send(_ output: AttemptOutput?) {
    guard let output else { return }
    for stream in OutputStream.allCases where streams.contains(stream) {
      send(stream, offset: 0, stream == .stdout ? output.stdout : output.stderr)
    }
  }

  func wrote(attempt: Int, _ stream: OutputStream, offset: Int, _ bytes: [UInt8]) {
    guard streams.contains(stream), attempt >= self.attempt else { return }
    begin(attempt)
    // What is missing before it comes with the attempt's end, and this with it.
    guard offset <= sent[stream, default: 0] else { return }
    send(stream, offset: offset, bytes)
  }

  func end() { stream.finish() }

  private func begin(_ attempt: Int) {
    guard attempt > self.attempt else { return }
    self.attempt = attempt
    sent = [:]
  }

  private func send(_ stream: OutputStream, offset: Int, _ bytes: [UInt8]) {
    let known = sent[stream, default: 0]
    let (end, overflow) = offset.addingReportingOverflow(bytes.count)
    guard !overflow, end > known else { return }
    sent[stream] = end
    self.stream.send(Array(bytes.dropFirst(known - offset)))
    // Whoever reads so slowly has missed nothing for good: it can ask again.
    if self.stream.pendingBytes > Self.maxUnreadBytes { self.end() }
  }
}

@available(*, unavailable) extension LogFollower: Sendable {}
