/// Queued tasks that any worker can do or none: of one kind, with the same requirements and as many slots.
///
/// It has a line for each priority. Entries are only hints: a task that was cancelled or held back stays in line until its
/// turn comes and it is skipped, so leaving the queue early costs nothing.
final class TaskClass {
  /// Where a class stands among others by its first task: priority, then order of arrival.
  struct Rank: Comparable {
    let priority: Int
    let order: Int64

    static func < (left: Rank, right: Rank) -> Bool {
      left.priority != right.priority ? left.priority < right.priority : left.order < right.order
    }
  }

  /// Where a class stands by the line of it that has waited longest.
  struct Age: Comparable {
    /// In milliseconds.
    let since: Int64
    let rank: Rank

    static func < (left: Age, right: Age) -> Bool {
      left.since != right.since ? left.since < right.since : left.rank < right.rank
    }
  }

  private typealias Line = WaitingLine<(task: LiveTask, order: Int64)>

  let key: TaskNeeds
  /// Grows from class to class; names it within the groups.
  let serial: Int
  private var lines = [Line](repeating: Line(), count: Priority.allCases.count)
  /// A group whose workers can do these tasks, and the class's number in it.
  struct Membership {
    unowned let group: WorkerGroup
    let index: Int
  }

  var memberships: [Membership] = []
  /// A worker that starts nothing else until it has room for the first of these tasks. Good as long as that says the same.
  weak var reservedBy: WorkerEntry?
  /// Whether the dispatcher knows it; it forgets those that have been empty for long.
  var isKnown = true
  /// What of it the connected workers can do, and how the fleet was then.
  var ability: (epoch: UInt64, ability: Ability)?

  init(_ key: TaskNeeds, serial: Int) {
    self.key = key
    self.serial = serial
  }

  /// Entries, whatever became of their tasks.
  var count: Int { lines.reduce(0) { $0 + $1.count } }
  var isEmpty: Bool { lines.allSatisfy(\.isEmpty) }

  var rank: Rank? {
    for index in lines.indices {
      if let first = lines[index].first { return Rank(priority: index, order: first.order) }
    }
    return nil
  }

  var age: Age? {
    var oldest: Age?
    for index in lines.indices {
      guard let since = lines[index].since, since < oldest?.since ?? .max, let first = lines[index].first else {
        continue
      }
      oldest = Age(since: since, rank: Rank(priority: index, order: first.order))
    }
    return oldest
  }

  func push(_ task: LiveTask, line: Int, since: Int64, order: Int64, atFront: Bool) {
    lines[line].push((task: task, order: order), since: since, atFront: atFront)
  }

  func first(of line: Int) -> LiveTask? { lines[line].first?.task }
  func removeFirst(of line: Int) { lines[line].removeFirst() }
  func keep(_ isKept: (LiveTask) -> Bool) {
    for index in lines.indices { lines[index].removeAll { isKept($0.task) } }
  }

  /// Since when the oldest of a line that `matches` holds for has waited, in milliseconds.
  func since(of line: Int, where matches: (LiveTask) -> Bool) -> Int64? { lines[line].since { matches($0.task) } }
}

extension TaskNeeds {
  func suits(_ worker: WorkerEntry) -> Bool {
    worker.slots >= slots && worker.kinds.contains(kind)
      && (requirements.isEmpty || requirements.isMet(by: worker.labels))
  }
}
