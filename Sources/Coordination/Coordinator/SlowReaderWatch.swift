import CoordinationCore
import Primitives
import Reactor
import WebSocket

/// A connection that can be found slow.
protocol SlowReader: AnyObject {
  /// What is logged of it.
  var name: String { get }
  var reading: SlowReaders<UInt64>.Reading { get }
  /// Says so to the peer; what waits is given up when it does not answer.
  func drop(_ reason: String)
}

/// Counts what goes through a connection's buffer, to tell a peer that reads from one that does not.
struct OutgoingBytes {
  private var appended = 0

  mutating func send(_ text: [UInt8], over socket: WebSocketConnection) {
    let before = socket.pendingBytes
    socket.send(text: text)
    appended += max(0, socket.pendingBytes - before)
  }

  /// A message about a file: bytes that do not shrink, so they are not compressed.
  mutating func send(file frame: [UInt8], over socket: WebSocketConnection) {
    let before = socket.pendingBytes
    socket.send(file: frame)
    appended += max(0, socket.pendingBytes - before)
  }

  func reading(of socket: WebSocketConnection?) -> SlowReaders<UInt64>.Reading {
    let pending = socket?.pendingBytes ?? 0
    return SlowReaders.Reading(pending: pending, taken: appended - pending)
  }
}

extension WebSocketConnection {
  /// Sends a message of `FileFrames`.
  func send(file frame: [UInt8]) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe send(piece: frame.span.bytes, .binary, isLast: true, compressing: false)
  }
}

/// Drops peers that do not read what they are sent, by the rules of `SlowReaders`.
final class SlowReaderWatch {
  private static let interval: Duration = .seconds(1)
  /// What a dropped peer is told to wait: it comes back, and starts over.
  private static let retryAfter: Duration = .seconds(5)

  private let loop: EventLoop
  private let log: (LogEntry) -> Void
  private var readers: SlowReaders<UInt64>
  private var peers: [UInt64: any SlowReader] = [:]
  private lazy var timer = loop.makeTimer { [weak self] in self?.look() }
  private(set) var dropped = 0

  init(_ limits: SlowReaders<UInt64>.Limits, on loop: EventLoop, log: @escaping (LogEntry) -> Void) {
    readers = SlowReaders(limits)
    self.loop = loop
    self.log = log
  }

  /// The peer of a connection is slow from now on; `nil`: no longer, or it is gone.
  func set(_ number: UInt64, _ peer: (any SlowReader)?) {
    guard peer != nil || peers[number] != nil else { return }
    peers[number] = peer
    if let peer { readers.rose(number, taken: peer.reading.taken, at: loop.now) } else { readers.drained(number) }
    if !peers.isEmpty, !timer.isActive { timer.start(after: min(Self.interval, readers.limits.timeout)) }
  }

  func stop() { timer.cancel() }

  private func look() {
    for (number, cause) in readers.due(at: loop.now, reading: { peers[$0]?.reading ?? .init(pending: 0, taken: 0) }) {
      guard let peer = peers.removeValue(forKey: number) else { continue }
      dropped += 1
      log(LogEntry(.warning, "a peer that does not read is dropped", ["peer": peer.name, "reason": "\(cause)"]))
      peer.drop(RetryHint.reason(Self.retryAfter, "\(cause)"))
    }
    if !peers.isEmpty { timer.start(after: min(Self.interval, readers.limits.timeout)) }
  }
}

@available(*, unavailable) extension SlowReaderWatch: Sendable {}
