public import Primitives

/// Why a worker's message was refused.
public enum MessageRefusal: String, CaseIterable, Sendable {
  case malformed
  /// Its checksum did not match: the bytes changed on the way.
  case checksum
  /// Its code was wrong: altered, repeated or forged.
  case code
  /// Before a registration.
  case unregistered
  /// A number or acknowledgement that does not fit the session.
  case sequence
  /// Its handler found a fault in its fields.
  case rejected
}

/// How a worker's registration ended.
public enum RegistrationOutcome: String, CaseIterable, Sendable {
  /// A new session.
  case opened
  /// The session goes on.
  case resumed
  case legacy
}

/// What the coordinator has counted since it started; a value that the shell reads when somebody asks.
public struct CoordinatorStatistics: Equatable, Sendable {
  public internal(set) var tasks = TaskStatistics()
  /// Registrations of a worker after its first.
  public internal(set) var reconnections: UInt64 = 0
  /// Connections that a newer one of the same worker ended.
  public internal(set) var takeovers: UInt64 = 0
  /// Workers given up: they were away for too long, or their lease ran out.
  public internal(set) var workersLost: UInt64 = 0
  /// Numbered messages that came again after a connection was lost.
  public internal(set) var duplicates: UInt64 = 0
  public internal(set) var unknownMessages: UInt64 = 0
  /// Words about attempts that were not their sender's to write any more.
  public internal(set) var refusedWrites: UInt64 = 0
  public internal(set) var heartbeats: UInt64 = 0
  /// Between one heartbeat and the next over the same connection, in nanoseconds.
  public internal(set) var heartbeatGaps = LatencyHistogram()
  /// As workers report it with their heartbeats, smoothed by RFC 6298, in nanoseconds.
  public internal(set) var roundTrips = LatencyHistogram()
  public internal(set) var telemetryReports: UInt64 = 0
  private var registrations: [RegistrationOutcome: UInt64] = [:]
  private var refusals: [MessageRefusal: UInt64] = [:]

  public init() {}

  public func registrations(_ outcome: RegistrationOutcome) -> UInt64 { registrations[outcome] ?? 0 }
  public func refusals(_ reason: MessageRefusal) -> UInt64 { refusals[reason] ?? 0 }

  mutating func count(_ outcome: RegistrationOutcome) { registrations[outcome, default: 0] += 1 }
  mutating func count(_ reason: MessageRefusal) { refusals[reason, default: 0] += 1 }
}

/// What there is at this moment; looked up among all workers when asked for.
public struct CoordinatorLevels: Equatable, Sendable {
  public internal(set) var workers: [WorkerSummary.State: Int] = [:]
  /// Over all sessions: what waits for a worker's acknowledgement.
  public internal(set) var outboxMessages = 0
  public internal(set) var outboxBytes = 0
  /// Slots of connected workers, and how many of them are in use.
  public internal(set) var slots = 0
  public internal(set) var slotsInUse = 0
  /// Writes that wait for the batch in flight.
  public internal(set) var pendingWrites = 0

  public init() {}
}

extension CoordinatorCore {
  /// What was counted since the start, tasks included.
  public var statistics: CoordinatorStatistics {
    var statistics = counted
    statistics.tasks = book.statistics
    return statistics
  }

  public var levels: CoordinatorLevels {
    var levels = CoordinatorLevels()
    levels.pendingWrites = pendingWrites
    for worker in workers.values where !worker.hasMoved {
      levels.workers[worker.state, default: 0] += 1
      levels.outboxMessages += worker.session?.outbox.count ?? 0
      levels.outboxBytes += worker.session?.outbox.bytes ?? 0
      guard worker.link != nil else { continue }
      levels.slots += worker.slots
      levels.slotsInUse += worker.slotsInUse
    }
    return levels
  }
}

extension MessageRefusal {
  init(_ error: MessageError) {
    switch error {
    case .badChecksum: self = .checksum
    case .badCode: self = .code
    default: self = .malformed
    }
  }
}
