internal import Primitives

/// How far a job has come.
public struct Progress: Sendable, Equatable {
  /// Finished items, the failed ones included.
  public var done: Int
  public var failed: Int
  public var running: Int
  public var total: Int
  /// Since the job began.
  public var elapsed: Duration
  /// How much of the work is done, from 0 to 1, where that is known better than by counting; some items take long.
  public var share: Double?

  public init(done: Int, failed: Int = 0, running: Int = 0, total: Int, elapsed: Duration, share: Double? = nil) {
    self.done = done
    self.failed = failed
    self.running = running
    self.total = total
    self.elapsed = elapsed
    self.share = share
  }

  /// Finished items a second since the beginning; 0 before anything can be said.
  public var rate: Double {
    elapsed > .zero ? Double(done) / elapsed.inSeconds : 0
  }

  /// The time left at the rate so far; `nil` where that means nothing.
  public var remaining: Duration? {
    if let share {
      guard share > 0, elapsed > .zero, share.isLess(than: 1) else { return nil }
      return .seconds(min(elapsed.inSeconds * (1 / share - 1), 1e9))
    }
    guard done > 0, total > done, rate > 0 else { return nil }
    return .seconds(min(Double(total - done) / rate, 1e9))
  }

  /// `42/100 tasks, 3 failed, 5 running, 12.3/s`.
  public func summary(unit: String) -> String {
    var parts = ["\(done)/\(total) \(unit)"]
    if failed > 0 { parts.append("\(failed) failed") }
    if running > 0 { parts.append("\(running) running") }
    parts.append("\(Self.shortDecimal(rate))/s")
    return parts.joined(separator: ", ")
  }

  /// One line of at most `columns` columns: a bar in the room that the numbers leave, if there is any.
  ///
  /// With a style that is enabled the bar is drawn in colours, red once something has failed.
  public func line(unit: String, columns: Int, style: TextStyle = .plain) -> String {
    var text = summary(unit: unit)
    if let remaining { text += ", \(Self.shortTime(remaining)) left" }
    let room = min(columns - text.displayColumns - 3, 40)  // brackets and a space
    guard room >= 8 else { return text.truncated(toColumns: columns) }
    let known = share ?? (total > 0 ? Double(done) / Double(total) : 0)
    let share = known.isNaN ? 0 : min(max(known, 0), 1)
    let filled = Int(share * Double(room))
    if style.isEnabled {
      let bar =
        style.apply(failed > 0 ? .red : .green, to: String(repeating: "━", count: filled))
        + style.apply(.dim, to: String(repeating: "─", count: room - filled))
      return "\(bar) \(text)"
    }
    let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: room - filled)
    return "[\(bar)] \(text)"
  }

  /// One digit after the point below 100, none from there on.
  static func shortDecimal(_ number: Double) -> String {
    guard number < 99.95 else { return number < 1e15 ? "\(Int64(number.rounded()))" : "\(number)" }
    let tenths = Int64((number * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  /// The two largest units: `45 s`, `2 min 5 s`, `3 h 0 min`.
  public static func shortTime(_ duration: Duration) -> String {
    let seconds = Int64(duration.inSeconds.rounded(.up))
    if seconds < 60 { return "\(seconds) s" }
    if seconds < 3600 { return "\(seconds / 60) min \(seconds % 60) s" }
    return "\(seconds / 3600) h \(seconds / 60 % 60) min"
  }
}
