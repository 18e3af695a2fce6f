public import Primitives

/// One connection of a worker, from its upgrade to its end.
final class WorkerLink {
  let connection: ConnectionID
  let workerID: WorkerID
  let mode: ConnectionMode
  let openedAt: Instant
  let since: WallTime
  let remoteAddress: String
  /// Where both ends have a key.
  let authenticator: MessageAuthenticator?
  /// Where the worker signs as the reference does.
  let legacyDigest: String?
  var isRegistered = false
  /// It has as much to write as it should: only what is urgent is sent.
  var isHeldBack = false
  /// Whether everything that other coordinators had of its worker is here.
  var isGathered = false
  /// What it has said meanwhile.
  var deferred: [Message] = []

  init(
    _ connection: ConnectionID, workerID: WorkerID, mode: ConnectionMode, openedAt: Instant, since: WallTime,
    remoteAddress: String, security: LinkSecurity
  ) {
    self.connection = connection
    self.workerID = workerID
    self.mode = mode
    self.openedAt = openedAt
    self.since = since
    self.remoteAddress = remoteAddress
    authenticator = security.channel.map { MessageAuthenticator($0, .coordinator) }
    legacyDigest = security.legacyDigest
  }
}

/// A worker as the coordinator knows it, connected or not.
final class WorkerEntry {
  let id: WorkerID
  /// The connection it registered over, while that lives.
  var link: WorkerLink?
  /// The identity that survives the connection; ends with the lease.
  var session: SessionState?
  /// Names one run of the worker's process; another one means that everything it ran is gone.
  var bootID: String?
  /// Its process was started anew, and it has not said yet what it still holds.
  var hasDied = false
  /// The tests that are held to have killed it: it was given up, and may yet turn out to be alive.
  var killers: [TestName] = []
  /// Whether the coordinator knows what the worker holds; nothing is given out before.
  var isSynchronised = false
  /// What the worker has said it holds while a state sync is under way.
  var reported: Set<TaskID> = []
  var slots = 1
  var kinds: Set<String> = []
  var labels = WorkerLabels()
  private(set) var held: Set<TaskID> = []
  /// Of those tasks that take several slots, how many more than one.
  private var moreSlots: [TaskID: Int] = [:]
  private(set) var slotsInUse = 0
  /// Attempts that others may take over since it was away for too long. It keeps its session, and those that nobody took.
  var letGo: Set<AttemptKey> = []
  /// Durable assignments that wait for room in the session's outbox, or for its connection to take more; no more than the
  /// worker has slots.
  var unsent: [(task: TaskID, attempt: Int)] = []
  /// How often in a row a legacy worker's heartbeat left out a task it was given.
  var missingFromHeartbeat: [TaskID: Int] = [:]
  var leaseEnds: Instant = .zero
  var lastHeard: Instant = .zero
  /// When the last heartbeat over this connection came.
  var lastHeartbeat: Instant?
  /// Set while it has no connection and its session or its tasks are kept for it.
  var absence: Absence?
  /// Knows the rhythm of its heartbeats; legacy workers have none that could be relied on.
  var detector: PhiAccrualDetector?
  /// How often it was told to send heartbeats.
  var told: Pacing?
  /// It has come to another coordinator, and nothing is kept for it here.
  var hasMoved = false
  /// It said that it is leaving.
  var isDraining = false
  /// Somebody asked for it to leave: this run of it is given nothing more, whatever it says itself.
  var isDrainRequested = false
  var unread = UnreadTime()
  /// The dispatcher's: with whom it is alike, where it stands when it has room, since when, and for which tasks it keeps
  /// itself free.
  unowned var group: WorkerGroup?
  var groupedBy: WorkerCapabilities?
  unowned var bucket: WorkerGroup.Bucket?
  var ticket: UInt64 = 0
  var reservedFor: TaskClass?
  var isToBeLookedAt = false
  var owesAcknowledgement = false
  var registrations = 0
  var refusedWrites = 0
  var unknownMessages = 0
  var roundTrip: Duration?
  var telemetry: WorkerTelemetry?

  init(id: WorkerID) {
    self.id = id
  }

  /// Whether anything is kept for it.
  var isKnown: Bool { link != nil || session != nil || !held.isEmpty }

  /// Whether it has been silent for longer than a living worker is. Whatever it says proves it alive, but only its
  /// heartbeats have a rhythm.
  func isSilent(at now: Instant, _ configuration: CoordinatorConfiguration) -> Bool {
    // The next look comes a sweep later, and by then it would be too late.
    guard now - lastHeard <= configuration.heartbeatTimeout - configuration.sweepInterval else { return true }
    guard let detector else { return false }
    return detector.isSuspect(at: now) && now - lastHeard >= detector.configuration.minimum
  }

  /// Whether it takes part in the work, even if it has no room now.
  var isPlaceable: Bool { isSynchronised && !takesNothingNew && link?.isRegistered == true }

  var canTakeTasks: Bool {
    guard let link, link.isRegistered, !link.isHeldBack, isSynchronised, !takesNothingNew, slotsInUse < slots,
      unsent.isEmpty
    else {
      return false
    }
    return session?.outbox.hasRoom ?? true
  }

  var takesNothingNew: Bool { isDraining || isDrainRequested }

  var freeSlots: Int { max(0, slots - slotsInUse) }

  func hold(_ task: LiveTask) {
    guard held.insert(task.id).inserted else { return }
    let taken = task.specification.slots
    slotsInUse += taken
    if taken > 1 { moreSlots[task.id] = taken - 1 }
  }

  func drop(_ id: TaskID) {
    guard held.remove(id) != nil else { return }
    slotsInUse -= 1 + (moreSlots.isEmpty ? 0 : moreSlots.removeValue(forKey: id) ?? 0)
  }

  var state: WorkerSummary.State {
    if link != nil { takesNothingNew ? .draining : .connected } else { absence != nil ? .disconnected : .lost }
  }

  func summary(at now: Instant) -> WorkerSummary {
    WorkerSummary(
      id: id, state: state, mode: link?.mode, sessionID: session?.id, slots: slots, kinds: kinds.sorted(),
      labels: labels, activeTasks: held.sorted(), connectedAt: link?.since, reconnections: max(0, registrations - 1),
      remoteAddress: link?.remoteAddress, roundTrip: roundTrip, refusedWrites: refusedWrites,
      telemetry: telemetry)
  }
}

/// A worker as users see it.
public struct WorkerSummary: Equatable, Sendable {
  public enum State: String, CaseIterable, Sendable {
    case connected, draining
    /// No connection, but its lease runs and it keeps its tasks.
    case disconnected
    /// Its lease has run out.
    case lost
  }

  public let id: WorkerID
  public let state: State
  public let mode: ConnectionMode?
  public let sessionID: SessionID?
  public let slots: Int
  public let kinds: [String]
  /// As it said them when it last registered.
  public let labels: WorkerLabels
  public let activeTasks: [TaskID]
  public let connectedAt: WallTime?
  /// Connections after the first.
  public let reconnections: Int
  public let remoteAddress: String?
  /// As the worker last measured it.
  public let roundTrip: Duration?
  /// Words about attempts that were not its to write any more.
  public let refusedWrites: Int
  /// What it last said about itself.
  public let telemetry: WorkerTelemetry?
}

/// What a worker says about itself every few minutes, and when asked.
public struct WorkerTelemetry: Equatable, Sendable {
  public let receivedAt: WallTime
  /// `metrics`, `queue_status` and `connection_stats`, as far as it sent them.
  public let fields: JSONObject

  /// The most that is kept of one worker, in bytes of JSON text.
  static let maxBytes = 8 << 10
}
