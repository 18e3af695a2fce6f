public import Primitives

/// Names a test over all runs: its suite, and its name in it.
public struct TestName: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let suite: String
  public let test: String

  public init(suite: String, test: String) {
    self.suite = suite
    self.test = test
  }

  public var description: String { "\(suite): \(test)" }

  public static func < (left: TestName, right: TestName) -> Bool {
    (left.suite, left.test) < (right.suite, right.test)
  }
}

/// What is remembered of a test beyond its runs.
public struct TestRecord: Equatable, Sendable {
  public var name: TestName
  /// How long it takes, newer runs counting more; `nil` before it ever ended well.
  public var duration: Duration?
  /// How many runs `duration` was made of.
  public var runs = 0
  /// `nil` while nothing is held against it.
  public var fate: TestFate?

  public init(_ name: TestName, duration: Duration? = nil, runs: Int = 0, fate: TestFate? = nil) {
    self.name = name
    self.duration = duration
    self.runs = runs
    self.fate = fate
  }

  /// The weight of the newest run in the mean: three runs decide, and one odd run does not.
  static let newestWeight = 0.3

  /// The mean with one more run in it, in milliseconds.
  public static func blend(_ mean: Double?, with newest: Double) -> Double {
    mean.map { $0 + (newest - $0) * newestWeight } ?? newest
  }
}

/// What is held against a test: how many workers died while it ran, and whether it is still run.
public struct TestFate: Equatable, Sendable {
  public var kills: Int
  public var isQuarantined: Bool
  /// Why, for people.
  public var reason: String
  public var changedAt: WallTime

  public init(kills: Int = 0, isQuarantined: Bool = false, reason: String = "", changedAt: WallTime) {
    self.kills = kills
    self.isQuarantined = isQuarantined
    self.reason = reason
    self.changedAt = changedAt
  }

  /// Nothing is held against it: there is nothing to remember.
  public var isClear: Bool { kills == 0 && !isQuarantined }

  /// Workers that one test may kill.
  public static let maxKills = 3
  /// What was held against a test is forgotten when nothing was added for so long.
  public static let memory: Duration = .seconds(30 * 24 * 3_600)

  /// What `old` becomes with a change; `nil` where nothing is held against a test. A store may do the same in its own
  /// words, and must come to the same.
  public static func after(_ change: TestFateChange, _ old: TestFate?, at wall: WallTime) -> TestFate? {
    var fate = TestFate(changedAt: wall)
    switch change {
    case .killed(let worker):
      if let old, !old.isForgotten(at: wall) { fate = old }
      fate.kills += 1
      if fate.isQuarantined {
        // It was running when it was put there; the reason stands.
      } else if fate.kills >= maxKills {
        fate.isQuarantined = true
        fate.reason = "\(fate.kills)" + lastKillWords(worker)
      } else {
        fate.reason = killWords(worker)
      }
    case .forgiven:
      guard let old, old.kills > 0 else { return old }
      fate = old
      if fate.kills == maxKills { fate.isQuarantined = false }
      fate.kills -= 1
    case .quarantined(let reason):
      fate = TestFate(kills: old?.kills ?? 0, isQuarantined: true, reason: reason, changedAt: wall)
    case .released: return nil
    }
    fate.changedAt = wall
    return fate.isClear ? nil : fate
  }

  /// Why a test is under suspicion, and, behind the number of its kills, why it is not run any more.
  package static func killWords(_ worker: WorkerID) -> String { "worker \(worker) died while it ran" }
  package static func lastKillWords(_ worker: WorkerID) -> String {
    " workers died while it ran, the last of them \(worker); lifeline quarantine release lets it run again"
  }

  func isForgotten(at wall: WallTime) -> Bool {
    let age = wall.milliseconds.subtractingReportingOverflow(changedAt.milliseconds)
    return !isQuarantined && !age.overflow && age.partialValue > Self.memory.wholeMilliseconds
  }
}

/// What happens to a test's fate.
public enum TestFateChange: Equatable, Sendable {
  /// A worker died while it ran.
  case killed(WorkerID)
  /// A worker that it was held to have killed is alive.
  case forgiven
  /// Somebody says that it shall not run.
  case quarantined(reason: String)
  /// Nothing is held against it any more.
  case released
}

/// Which tests a list shows, ordered by suite and test. Every condition that is set must hold.
public struct TestFilter: Equatable, Sendable {
  public var suite: String?
  /// Only those that something is held against.
  public var hasFate: Bool
  /// Only those behind this one.
  public var after: TestName?
  public var limit: Int

  public static let maxLimit = 1_000

  public init(suite: String? = nil, hasFate: Bool = false, after: TestName? = nil, limit: Int = Self.maxLimit) {
    self.suite = suite
    self.hasFate = hasFate
    self.after = after
    self.limit = limit
  }
}

/// A piece of what a client wants remembered about a run, so that another client can go on with it.
public struct RunPart: Equatable, Sendable {
  public var run: String
  /// From 0.
  public var number: Int
  public var plan: JSONObject

  public init(run: String, number: Int, plan: JSONObject) {
    self.run = run
    self.number = number
    self.plan = plan
  }

  /// Of JSON text: a part travels in one message.
  public static let maxBytes = 512 << 10
  /// Parts of one run.
  public static let maxParts = 1_000
}
