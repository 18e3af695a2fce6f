import Primitives

/// What a trial is run with. With the scenario and the seed it says which faults come when; how processes interleave
/// meanwhile is the machine's own.
public struct TrialOptions: Sendable {
  public var workers: Int
  /// How long work is submitted and things are broken.
  public var duration: Duration
  /// The time between two faults of a run that draws them.
  public var disruptionInterval: Duration
  public var seed: UInt64
  /// The report's folder; made when missing.
  public var directory: String
  /// This program: it is also coordinator and worker.
  public var program = "/proc/self/exe"
  /// Whether one process is all workers: then they run demo tasks, and no proxy is on their way.
  public var isHosted: Bool { workers > Self.maxProcesses }
  /// The most workers that are each a process of their own.
  public static let maxProcesses = 50
  /// Where tasks are kept.
  public enum Store: Equatable, Sendable {
    /// In a SQLite file in the report's folder.
    case file
    /// In a PostgreSQL server that the trial starts, breaks, and removes.
    case ownServer
    /// In a PostgreSQL database at this URL, in a schema that the trial makes and drops.
    case database(TrialDatabaseURL)
  }
  public var store = Store.file
  /// How many coordinators share the store; more than one needs PostgreSQL.
  public var coordinators = 1
  /// Whether what the trial has left in a database stays there.
  public var keepsStore = false
  /// The command line that runs the trial again.
  public var command: String
  /// Called with the store's path when the coordinator has stopped and nobody has judged yet: a check that nothing can
  /// fail proves nothing.
  package var sabotage: (@Sendable (String) -> Void)?

  public init(
    workers: Int, duration: Duration, disruptionInterval: Duration = .seconds(10), seed: UInt64, directory: String,
    command: String
  ) {
    self.workers = workers
    self.duration = duration
    self.disruptionInterval = disruptionInterval
    self.seed = seed
    self.directory = directory
    self.command = command
  }
}

/// What the processes of a fleet under trial are told: times short enough to see every timeout at work within a minute.
public struct FleetSettings: Equatable, Sendable {
  /// Tasks that each worker runs at once.
  public var slots = 2
  public var heartbeatInterval: Duration = .milliseconds(500)
  public var heartbeatTimeout: Duration = .seconds(2)
  public var closedGrace: Duration = .seconds(1)
  public var lease: Duration = .seconds(6)
  /// How long a coordinator that others share a store with may be silent.
  public var memberLease: Duration = .seconds(3)
  public var reconnectDelay: Duration = .milliseconds(200)
  public var maxReconnectDelay: Duration = .seconds(1)
  /// How long everything may take to end once nothing is broken any more.
  public var drain: Duration = .seconds(40)

  /// The defaults of coordinators and workers: what thousands of workers are run with.
  mutating func beAtProductionScale() {
    slots = 1
    heartbeatInterval = .seconds(5)
    heartbeatTimeout = .seconds(15)
    closedGrace = .seconds(5)
    lease = .seconds(120)
    reconnectDelay = .seconds(1)
    maxReconnectDelay = .seconds(60)
    drain = .seconds(90)
  }

  /// For those that prove that nothing is taken from anybody: a machine that is busy elsewhere is no fault of the fleet.
  mutating func beUnhurried() {
    heartbeatInterval = .seconds(1)
    heartbeatTimeout = .seconds(5)
    closedGrace = .seconds(4)
    lease = .seconds(12)
  }
}
