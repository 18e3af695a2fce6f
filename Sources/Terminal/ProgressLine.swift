internal import Primitives

/// Decides when progress is worth writing, and how: one line rewritten in place on a terminal, now and then a plain line
/// in a pipe. A value; the owner writes what it is given.
public struct ProgressLine: Sendable {
  public enum Output: Sendable, Equatable {
    /// Rewrite the current line with this.
    case live(String)
    /// Write this as a line.
    case line(String)
  }

  /// People read no faster.
  static let liveInterval = Duration.milliseconds(100)
  /// Enough to see in a log that it goes on.
  static let plainInterval = Duration.seconds(5)

  private let isTerminal: Bool
  private let unit: String
  private var last: Progress?

  public init(isTerminal: Bool, unit: String) {
    self.isTerminal = isTerminal
    self.unit = unit
  }

  /// What to write now, or `nil` if it is too soon or, in a pipe, nothing has changed. `columns` is the terminal's width.
  public mutating func update(_ progress: Progress, columns: Int) -> Output? {
    let interval = isTerminal ? Self.liveInterval : Self.plainInterval
    if let last {
      guard progress.elapsed - last.elapsed >= interval else { return nil }
      if !isTerminal, (last.done, last.failed, last.running) == (progress.done, progress.failed, progress.running) {
        return nil
      }
    } else if !isTerminal, progress.elapsed < interval {
      return nil  // A short job in a pipe needs no progress at all.
    }
    last = progress
    // The last column stays free: some terminals wrap as soon as it is written.
    return isTerminal
      ? .live(progress.line(unit: unit, columns: max(columns - 1, 0))) : .line(progress.summary(unit: unit))
  }
}
