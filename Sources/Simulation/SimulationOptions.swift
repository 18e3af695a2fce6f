public import CoordinationCore
import Primitives

/// What a simulated fleet is made of. Times are short so that a run of a simulated minute sees every deadline.
public struct SimulationOptions: Sendable {
  public var seed: UInt64 = 1
  /// More than one share a store.
  public var coordinators = 1
  public var cluster = ClusterConfiguration()
  public var workers = 2
  public var slots = 2
  /// What each worker says of itself in place of `slots`, and without labels; those that are left out are ordinary.
  public var offers: [WorkerID: WorkerCapabilities] = [:]
  /// Of one message, in microseconds.
  public var latency: ClosedRange<Int64> = 1_000...5_000
  /// Of the coordinator's disk, in microseconds.
  public var commitDelay: ClosedRange<Int64> = 1_000...10_000
  /// Of a worker's disk, in microseconds.
  public var persistDelay: ClosedRange<Int64> = 500...5_000
  public var workerOutbox = Outbox.Limits()
  /// What a worker hands to its connection before it asks whether it takes more, in bytes.
  public var workerSendBudgetBytes = 64 << 10
  public var reconnectDelay: Duration = .milliseconds(100)
  public var maxReconnectDelay: Duration = .seconds(1)
  public var drainTimeout: Duration = .milliseconds(700)
  /// Whether both ends have a key, so that messages carry codes in place of checksums.
  public var signs = false
  /// Whether everything that happens is written down, for people.
  public var traces = false
  /// Whether the history is checked as it happens; without it only load and times are of interest.
  public var checks = true
  public var coordinator: CoordinatorConfiguration = {
    var configuration = CoordinatorConfiguration()
    configuration.heartbeatInterval = .seconds(1)
    configuration.heartbeatTimeout = .seconds(3)
    configuration.closedGrace = .milliseconds(800)
    configuration.lease = .seconds(6)
    configuration.exclusiveLeases = true
    return configuration
  }()

  public init() {}

  func worker(_ id: WorkerID, _ bootID: String, slots: Int) -> WorkerCoreConfiguration {
    var configuration = WorkerCoreConfiguration(
      workerID: id, bootID: bootID, capabilities: offers[id] ?? WorkerCapabilities(slots: slots, kinds: ["work"]))
    configuration.heartbeatInterval = coordinator.heartbeatInterval
    configuration.heartbeatTimeout = coordinator.heartbeatTimeout
    configuration.reconnectDelay = reconnectDelay
    configuration.maxReconnectDelay = maxReconnectDelay
    configuration.drainTimeout = drainTimeout
    configuration.outbox = workerOutbox
    configuration.sendBudgetBytes = workerSendBudgetBytes
    configuration.isTraced = checks
    return configuration
  }
}
