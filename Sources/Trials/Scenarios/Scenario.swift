import Primitives
import TrialReport

/// What a list says of a scenario.
public struct ScenarioAbout: Equatable, Sendable {
  public let name: String
  /// What it does, for people.
  public let summary: String
  /// What must hold besides what must hold in every trial.
  public let passes: String
  public let workers: Int
  public let duration: Duration
  /// For a run of everything that must not take long.
  public let quickWorkers: Int
  public let quickDuration: Duration
  /// The most workers that it is for; beyond 50 they share one process.
  public var maxWorkers = TrialOptions.maxProcesses
  /// What it can be done to.
  public var needs = Needs.anyStore

  public enum Needs: Sendable {
    case anyStore
    /// The store is a file.
    case file
    /// A PostgreSQL server of the trial's own, because that is what is broken.
    case ownServer
    /// Several coordinators.
    case severalCoordinators
  }

  /// Why it cannot be run so; `nil` when it can.
  public func objection(to store: TrialOptions.Store, coordinators: Int) -> String? {
    switch needs {
    case .anyStore: nil
    case .file: store == .file ? nil : "\(name) breaks the file that is the store: leave --store out"
    case .ownServer:
      store == .ownServer ? nil : "\(name) kills its database, which must be one of its own: add --store postgres"
    case .severalCoordinators:
      coordinators > 1 ? nil : "\(name) needs several coordinators: add --store postgres --coordinators 2"
    }
  }
}

/// A way to make a fleet's life hard, and what must be seen of it afterwards. One object is one run of it.
protocol Scenario: AnyObject {
  static var about: ScenarioAbout { get }
  init()
  func adjust(_ settings: inout FleetSettings)
  /// The coordinator is about to be started for the first time.
  func prepare(_ fleet: TrialFleet)
  /// All workers are registered: submit work, and plan faults.
  func begin(_ run: TrialRun)
  /// No fault comes any more; the fleet is about to be healed.
  func end(_ run: TrialRun)
  /// What must hold of this scenario in particular.
  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion]
}

extension Scenario {
  func adjust(_ settings: inout FleetSettings) {}
  func prepare(_ fleet: TrialFleet) {}
  func end(_ run: TrialRun) {}
}

/// Every scenario there is.
public enum Scenarios {
  static var all: [any Scenario.Type] {
    [
      ThunderingHerd.self, SteadyLoad.self, MessageFlood.self, CheckpointHeavy.self, MixedPriority.self, Flapping.self,
      HalfOpen.self, OneWayPartition.self, ZombieResume.self, CoordinatorKill.self, BothKill.self, SlowReader.self,
      CorruptBytes.self, DiskFull.self, PoisonTask.self, Slowloris.self, RollingDrain.self, DatabaseKill.self,
      CoordinatorFrozen.self,
    ]
  }

  public static var list: [ScenarioAbout] { all.map { $0.about } }
  public static var endToEnd: ScenarioAbout { EndToEnd.about }

  static func scenario(named name: String) -> (any Scenario.Type)? {
    name == EndToEnd.about.name ? EndToEnd.self : all.first { $0.about.name == name }
  }
}
