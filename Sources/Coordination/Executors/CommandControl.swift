import CoordinationCore
import Reactor

/// The lines a command writes on its control descriptor, handed on in order as long as there is room.
final class CommandControl {
  private let reporter: AttemptReporter
  private let maxCheckpointBytes: Int
  private let log: (LogEntry) -> Void
  private let onEnd: () -> Void
  private var source: ByteStream?
  private var lines: LineBuffer
  private var hasBegun = false
  private var isDraining = false
  private var malformed = 0
  private(set) var hasEnded = false

  /// What a line may hold besides its checkpoint, and what white space or escapes may add to that.
  private static let slackBytes = 64 << 10
  private static let readBudgetBytes = 64 << 10
  private static let maxComplaints = 10

  init(
    descriptor: Int32, maxCheckpointBytes: Int, _ reporter: AttemptReporter, on loop: EventLoop,
    log: @escaping (LogEntry) -> Void, onEnd: @escaping () -> Void
  ) {
    self.reporter = reporter
    self.maxCheckpointBytes = maxCheckpointBytes
    self.log = log
    self.onEnd = onEnd
    lines = LineBuffer(maxLineBytes: maxCheckpointBytes + Self.slackBytes)
    source = ByteStream(
      descriptor: descriptor, on: loop, readBudgetBytes: Self.readBudgetBytes,
      onBytes: { [self] in
        lines.append($0)
        work()
      },
      onEnd: { [self] in ended() })
    source?.pauseReading()
  }

  /// Begins to read: nothing a command said may be told before its start.
  func begin() {
    hasBegun = true
    roomAvailable()
  }

  func roomAvailable() {
    guard hasBegun, !hasEnded else { return }
    work()
    if reporter.hasRoom { source?.resumeReading() }
  }

  /// Takes what is left, whether there is room or not.
  func drain() {
    guard !hasEnded else { return }
    isDraining = true
    work()
    source?.resumeReading()
  }

  func close() {
    guard !hasEnded else { return }
    isDraining = true
    work()
    hasEnded = true
    source?.close()
  }

  private func work() {
    while isDraining || reporter.hasRoom {
      guard let line = lines.next() else { return }
      take(line)
    }
    source?.pauseReading()
  }

  private func ended() {
    // Few lines are left, and the command has closed its end, so there is no one to hold back.
    isDraining = true
    work()
    if let rest = lines.rest() { take(rest) }
    hasEnded = true
    onEnd()
  }

  private func take(_ line: LineBuffer.Line) {
    guard case .complete(let bytes) = line else {
      return complain("longer than \(lines.maxLineBytes) bytes")
    }
    guard bytes.contains(where: { $0 > 0x20 }) else { return }
    do {
      let line = try ControlLine(bytes, maxCheckpointBytes: maxCheckpointBytes)
      if let checkpoint = line.checkpoint { reporter.checkpointed(checkpoint) }
      if let progress = line.progress { reporter.progressed(progress) }
    } catch {
      complain(error.description)
    }
  }

  private func complain(_ problem: String) {
    malformed += 1
    guard malformed <= Self.maxComplaints else { return }
    var message = "a line on LIFELINE_CONTROL_FD is ignored"
    if malformed == Self.maxComplaints { message += ", and so are further ones, silently" }
    log(LogEntry(.warning, message, ["attempt": "\(reporter.key)", "problem": problem]))
  }
}

@available(*, unavailable) extension CommandControl: Sendable {}
