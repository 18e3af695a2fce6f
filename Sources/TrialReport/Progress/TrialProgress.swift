internal import Primitives
public import Terminal

/// Where a run with faults stands, for someone who watches it.
public struct TrialProgress: Equatable, Sendable {
  public var name: String
  public var elapsed: Duration
  /// How long the run is meant to take.
  public var total: Duration
  public var connectedWorkers: Int
  public var workers: Int
  public var reconnections: Int
  public var endedTasks: Int
  public var runningTasks: Int
  public var queuedTasks: Int
  /// All that were submitted so far.
  public var tasks: Int
  /// The faults so far, the current one included.
  public var faults: Int
  /// The fault that is in force, or what else goes on now; `nil` for nothing.
  public var fault: String?

  public init(
    name: String, elapsed: Duration = .zero, total: Duration, connectedWorkers: Int = 0, workers: Int,
    reconnections: Int = 0, endedTasks: Int = 0, runningTasks: Int = 0, queuedTasks: Int = 0, tasks: Int = 0,
    faults: Int = 0, fault: String? = nil
  ) {
    self.name = name
    self.elapsed = elapsed
    self.total = total
    self.connectedWorkers = connectedWorkers
    self.workers = workers
    self.reconnections = reconnections
    self.endedTasks = endedTasks
    self.runningTasks = runningTasks
    self.queuedTasks = queuedTasks
    self.tasks = tasks
    self.faults = faults
    self.fault = fault
  }

  /// Four lines of at most `columns` columns each, for a terminal.
  public func lines(columns: Int, style: TextStyle) -> [String] {
    let clock = "\(NumberText.clock(elapsed.inSeconds)) of \(NumberText.clock(total.inSeconds))"
    let heading = name.escapedForDisplay
    let room = min(columns - heading.displayColumns - clock.displayColumns - 6, 40)
    var first: [FittedLine.Piece] = [(heading, .bold), ("  ", .none)]
    if room >= 8 {
      let filled = Int(share * Double(room))
      let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: room - filled)
      first.append(("[\(bar)]  ", .none))
    }
    first.append((clock, .none))
    let isComplete = connectedWorkers >= workers
    return [
      first,
      [
        ("workers  ", .dim), ("\(connectedWorkers) of \(workers) connected", isComplete ? .green : .yellow),
        (", \(reconnections) reconnections", .none),
      ],
      [
        ("tasks    ", .dim),
        ("\(endedTasks) of \(tasks) ended, \(runningTasks) running, \(queuedTasks) queued", .none),
      ],
      [
        ("faults   ", .dim), ("\(faults)", .none), (fault == nil ? "" : ", now: ", .none),
        (fault?.escapedForDisplay ?? "", .yellow),
      ],
    ].map { FittedLine.text($0, columns: columns, style: style) }
  }

  /// All of it in one line, for a log.
  public var summary: String {
    let now = fault.map { ", now: \($0.escapedForDisplay)" } ?? ""
    return """
      \(NumberText.clock(elapsed.inSeconds)) of \(NumberText.clock(total.inSeconds)): \
      \(connectedWorkers)/\(workers) workers, \(reconnections) reconnections, \(endedTasks)/\(tasks) tasks ended, \
      \(runningTasks) running, \(queuedTasks) queued, \(faults) faults\(now)
      """
  }

  private var share: Double {
    total > .zero ? min(max(elapsed.inSeconds / total.inSeconds, 0), 1) : 0
  }
}

/// Decides when progress is worth writing: a block rewritten in place on a terminal, elsewhere a line each ten seconds.
///
/// A value; the owner gives what comes back to `LineWriter.show`.
public struct TrialProgressDisplay: Sendable {
  /// People read no faster.
  static let liveInterval = Duration.milliseconds(100)
  /// Enough to see in a log that it goes on.
  static let plainInterval = Duration.seconds(10)

  private let isLive: Bool
  private let style: TextStyle
  private var last: TrialProgress?

  /// - Parameter environment: decides on colours (`NO_COLOR`) and on whether the terminal can rewrite (`TERM=dumb`).
  public init(isTerminal: Bool, environment: [String: String]) {
    isLive = isTerminal && environment["TERM"] != "dumb"
    style = TextStyle(isTerminal: isTerminal, environment: environment)
  }

  /// What to write now, or `nil` if it is too soon. `columns` is the terminal's width.
  public mutating func update(_ progress: TrialProgress, columns: Int) -> ProgressLine.Output? {
    let interval = isLive ? Self.liveInterval : Self.plainInterval
    let since = progress.elapsed - (last?.elapsed ?? .zero)
    // A time that went back is another phase or another run; on a terminal a fault is worth showing at once.
    let isNews = isLive && (last == nil || last?.fault != progress.fault)
    guard isNews || since >= interval || since < .zero else { return nil }
    last = progress
    guard isLive else { return .line(progress.summary) }
    // The last column stays free: some terminals wrap as soon as it is written.
    return .live(progress.lines(columns: max(columns - 1, 0), style: style).joined(separator: "\n"))
  }
}

/// A line of differently emphasised pieces, cut as a whole: cutting styled text would count, or cut, its escapes.
private enum FittedLine {
  typealias Piece = (text: String, emphasis: TextStyle.Emphasis)

  static func text(_ pieces: [Piece], columns: Int, style: TextStyle) -> String {
    var room = columns
    var result = ""
    for piece in pieces where room > 0 {
      let text = piece.text.truncated(toColumns: room)
      result += style.apply(piece.emphasis, to: text)
      room = text == piece.text ? room - text.displayColumns : 0
    }
    return result
  }
}
