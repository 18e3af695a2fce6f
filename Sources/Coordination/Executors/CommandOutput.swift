import CoordinationCore
import Reactor

/// One of a command's outputs: handed on in chunks as it comes, and kept within a bound.
final class CommandOutput {
  private let stream: OutputStream
  private let reporter: AttemptReporter
  private let loop: EventLoop
  private var source: ByteStream?
  private var output: BoundedOutput
  /// Read but not handed on yet; it begins at `offset` of the stream.
  private var chunk: [UInt8] = []
  private var offset = 0
  private var isFlushScheduled = false
  private var hasBegun = false
  private var isDraining = false
  private(set) var hasEnded = false
  private let onEnd: () -> Void

  private static let maxChunkBytes = 32 << 10

  init(
    _ stream: OutputStream, descriptor: Int32, maxBytes: Int, _ reporter: AttemptReporter, on loop: EventLoop,
    onEnd: @escaping () -> Void
  ) {
    self.stream = stream
    self.reporter = reporter
    self.loop = loop
    self.onEnd = onEnd
    output = BoundedOutput(maxBytes: maxBytes)
    source = ByteStream(
      descriptor: descriptor, on: loop, readBudgetBytes: Self.maxChunkBytes,
      onBytes: { [self] in read($0) }, onEnd: { [self] in ended() })
    source?.pauseReading()
  }

  /// Begins to read: nothing a command wrote may be told before its start.
  func begin() {
    hasBegun = true
    roomAvailable()
  }

  func kept() -> (bytes: [UInt8], droppedBytes: Int) { output.kept() }

  func roomAvailable() {
    if hasBegun, !hasEnded, reporter.hasRoom { source?.resumeReading() }
  }

  /// Reads what is left, whether there is room or not.
  func drain() {
    isDraining = true
    if !hasEnded { source?.resumeReading() }
  }

  func close() {
    flush()
    hasEnded = true
    source?.close()
  }

  private func read(_ bytes: RawSpan) {
    output.append(bytes)
    // SAFETY: the bytes are copied during the call.
    unsafe bytes.withUnsafeBytes { unsafe chunk.append(contentsOf: $0) }
    guard !isFlushScheduled else { return }
    isFlushScheduled = true
    loop.afterTurn { [self] in
      isFlushScheduled = false
      flush()
      if !isDraining, !hasEnded, !reporter.hasRoom { source?.pauseReading() }
    }
  }

  private func flush() {
    var rest = chunk[...]
    chunk = []
    while !rest.isEmpty {
      let bytes = Array(rest.prefix(Self.maxChunkBytes))
      rest = rest.dropFirst(bytes.count)
      let start = offset
      offset += bytes.count
      reporter.wrote(stream, offset: start, bytes)
    }
  }

  private func ended() {
    flush()
    hasEnded = true
    onEnd()
  }
}

@available(*, unavailable) extension CommandOutput: Sendable {}
