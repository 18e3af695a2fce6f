import Primitives

/// A reliable message on its way to the coordinator that has no number yet.
struct Parcel {
  let body: [UInt8]
  /// Under which name this worker's disk has it; `nil`: it has not.
  let key: String?
  let priority: Priority
  /// What it is about; messages about one task never overtake each other.
  let task: TaskID?

  init(_ message: Message, about task: TaskID? = nil, key: String? = nil) {
    self.init(body: message.body, key: key, priority: message.kind.priority, task: task)
  }

  init(body: [UInt8], key: String?, priority: Priority, task: TaskID?) {
    self.body = body
    self.key = key
    self.priority = priority
    self.task = task
  }

  /// One that was numbered in a session that is gone.
  init(_ entry: Outbox.Entry) {
    self.init(
      body: entry.body, key: entry.key, priority: .normal, task: entry.key.flatMap(ParcelKey.init)?.attempt.taskID)
  }
}

/// What a worker has to say and cannot say yet: because it has no session, because the session's outbox is full, or
/// because the connection takes no more.
///
/// A reliable message gets its number when it leaves, so whatever order the priorities make, the numbered stream is in
/// order and a replay repeats it exactly. What was numbered and comes back, because its session is gone, goes before
/// everything else, in the order that it had.
///
/// Reliable messages are bounded by `WorkerCore.maxWaiting`, at which producers stop. What may be lost by contract is
/// bounded here: of progress, telemetry, heartbeats and acknowledgements only the newest waits, and beyond
/// `maxPlainBytes` or `maxPlainMessages` nothing more does. Output is nearly all of that, and an attempt's end brings the
/// whole; dropping the newest rather than the oldest leaves what waits without a hole.
struct SendingQueue {
  enum Item {
    case parcel(Parcel)
    /// Unnumbered, and about this connection only.
    case plain(Message, bytes: Int)
  }

  static let maxPlainBytes = 1 << 20
  static let maxPlainMessages = 4_096

  private typealias Ticket = PriorityQueue<TaskID, Item>.Ticket

  /// Of which only the newest waits.
  private struct Newest: Hashable {
    let kind: MessageKind
    let task: TaskID?
  }

  private var queue: PriorityQueue<TaskID, Item>
  /// Whether priorities count; otherwise whatever waits leaves in the order that it came.
  private let isPrioritized: Bool
  /// Numbered once, and to be numbered again; the oldest last.
  private var returned: [Parcel] = []
  private var newest: [Newest: Ticket] = [:]
  private var plainCount = 0
  private var plainBytes = 0

  /// - Parameter aging: how long a message waits before it is overdue.
  init(isPrioritized: Bool, aging: Duration) {
    self.isPrioritized = isPrioritized
    queue = PriorityQueue(aging: isPrioritized ? aging : nil)
  }

  var isEmpty: Bool { queue.isEmpty && returned.isEmpty }
  /// Reliable messages that wait.
  var parcelCount: Int { queue.count - plainCount + returned.count }

  func status(at now: Instant) -> QueueStatus {
    var status = queue.status(at: now)
    // They were sent once; since when is not known any more.
    status[.normal].waiting += returned.count
    return status
  }

  /// Whether an unnumbered message of this kind leaves at once, whatever waits and however little the connection takes:
  /// few and small, they are what keeps the connection, the lease and the coordinator's own outbox going.
  func isUrgent(_ kind: MessageKind) -> Bool { isPrioritized && kind.priority <= .high }

  mutating func add(_ parcel: Parcel, at now: Instant) {
    queue.push(.parcel(parcel), priority(parcel.priority), about: parcel.task, at: now)
  }

  /// - Returns: whether there was room for it.
  mutating func add(_ message: Message, about task: TaskID?, at now: Instant) -> Bool {
    let bytes = message.body.count
    let name = Self.onlyNewestCounts(message.kind) ? Newest(kind: message.kind, task: task) : nil
    if let name, let ticket = newest[name], let old = queue.replace(ticket, with: .plain(message, bytes: bytes)) {
      if case .plain(_, let oldBytes) = old { plainBytes += bytes - oldBytes }
      return true
    }
    guard plainBytes + bytes <= Self.maxPlainBytes, plainCount < Self.maxPlainMessages else { return false }
    let ticket = queue.push(
      .plain(message, bytes: bytes), priority(message.kind.priority), about: task, at: now)
    plainCount += 1
    plainBytes += bytes
    if let name { newest[name] = ticket }
    return true
  }

  private static func onlyNewestCounts(_ kind: MessageKind) -> Bool {
    switch kind {
    case .taskState, .telemetry, .heartbeat, .ack: true
    default: false
    }
  }

  private func priority(_ priority: Priority) -> Priority { isPrioritized ? priority : .normal }

  /// Takes out what is to leave next.
  /// - Parameter canNumber: whether the outbox has room; otherwise nothing leaves before the reliable message that is due.
  mutating func next(at now: Instant, canNumber: Bool) -> Item? {
    if !returned.isEmpty { return canNumber ? returned.popLast().map(Item.parcel) : nil }
    let item = queue.pop(at: now) { if case .parcel = $0 { canNumber } else { true } }
    if case .plain(_, let bytes)? = item {
      plainCount -= 1
      plainBytes -= bytes
      // Tickets of what has left would gather, one for each task.
      if plainCount == 0 { newest = [:] }
    }
    return item
  }

  /// Messages that were numbered in a session that is gone, in their order.
  mutating func putBack(_ parcels: [Parcel]) { returned.append(contentsOf: parcels.reversed()) }

  /// The connection is gone, and with it what was to be said about it.
  mutating func dropPlain() {
    newest = [:]
    guard plainCount > 0 else { return }
    queue.removeAll { if case .plain = $0 { true } else { false } }
    (plainCount, plainBytes) = (0, 0)
  }

  /// Takes out the reliable messages about a task, or about any, that `isTaken` holds for, in order.
  @discardableResult
  mutating func removeParcels(about task: TaskID? = nil, where isTaken: (Parcel) -> Bool) -> [Parcel] {
    var taken: [Parcel] = []
    returned.removeAll { parcel in
      guard task == nil || parcel.task == task, isTaken(parcel) else { return false }
      taken.append(parcel)
      return true
    }
    taken.reverse()
    let items = queue.removeAll(about: task) { if case .parcel(let parcel) = $0 { isTaken(parcel) } else { false } }
    for case .parcel(let parcel) in items { taken.append(parcel) }
    return taken
  }
}
