internal import Glibc
import Locking

/// The lines of one descriptor, from any thread, around at most one live block, usually one line, that stays last.
///
/// Log lines and progress often share a terminal; written by one owner they do not overwrite each other. A line
/// goes out in one write. A reader that stops reading costs at most `patience` once: then lines are counted instead of
/// written until it reads again, for a stuck log must not stop the program.
public final class LineWriter: @unchecked Sendable {  // the state is guarded by `lock`
  public let isTerminal: Bool

  private let writer: DescriptorWriter
  private let patience: Duration
  private let lock = Lock()
  private var liveLine = ""
  private var lostCount = 0
  private var isStalled = false

  public static let standardError = LineWriter(DescriptorWriter.standardError)

  public convenience init(_ writer: DescriptorWriter, patience: Duration = .milliseconds(100)) {
    self.init(writer, patience: patience, isTerminal: TerminalDevice.isTerminal(writer.descriptor))
  }

  init(_ writer: DescriptorWriter, patience: Duration, isTerminal: Bool) {
    self.writer = writer
    self.patience = patience
    self.isTerminal = isTerminal
  }

  /// The width to lay lines out for, in columns.
  public var columns: Int { TerminalDevice.columns(writer.descriptor) ?? TerminalDevice.usualColumns }

  /// How many lines could not be written since the last that could.
  public var lostLines: Int { lock.withLock { lostCount } }

  /// Writes `text` and a line end, above the live line if there is one.
  public func write(line text: String) {
    lock.withLock {
      let notice = lostCount > 0 ? "(\(lostCount) lines lost: nobody read them)\n" : ""
      let outcome = send(Self.erase(liveLine) + notice + text + "\n" + liveLine)
      lostCount = outcome == .written ? 0 : lostCount + 1
    }
  }

  /// Shows `text` in place of the live block, which an empty text removes. In a pipe nothing happens.
  ///
  /// It may have several lines, each narrower than the terminal: a line that wraps is not found again.
  public func show(live text: String) {
    guard isTerminal else { return }
    lock.withLock {
      guard text != liveLine else { return }
      _ = send(Self.erase(liveLine) + text)
      liveLine = text
    }
  }

  /// Writes what a `ProgressLine` decided.
  public func show(_ output: ProgressLine.Output?) {
    switch output {
    case .live(let text)?: show(live: text)
    case .line(let text)?: write(line: text)
    case nil: break
    }
  }

  private func send(_ text: String) -> DescriptorWriter.Outcome {
    let outcome = writer.write(text, patience: isStalled ? .zero : patience)
    isStalled = outcome == .stalled
    return outcome
  }

  /// Back to where the live block began, and clear what follows.
  private static func erase(_ liveLine: String) -> String {
    if liveLine.isEmpty { return "" }
    let below = liveLine.utf8.count { $0 == UInt8(ascii: "\n") }
    return below == 0 ? "\r\u{1B}[K" : "\r\u{1B}[\(below)A\u{1B}[J"
  }
}
