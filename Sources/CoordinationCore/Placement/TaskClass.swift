/// Queued tasks that any worker can do or none: of one kind, with the same requirements and as many slots.
///
/// It has a line for each priority. Entries are only hints: a task that was cancelled or held back stays in line until its
/// turn comes and it is skipped, so leaving the queue early costs nothing.
final class TaskClass {
  struct Key: Hashable {
    let kind: String
    let requirements: Requirements
    let slots: Int

    init(_ specification: TaskSpecification) {
      kind = specification.workerKind
      requirements = specification.requirements
      slots = specification.slots
    }

    func suits(_ worker: WorkerEntry) -> Bool {
      worker.slots >= slots && worker.kinds.contains(kind)
        && (requirements.isEmpty || requirements.isMet(by: worker.labels))
    }
  }

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

  private struct Line {
    struct Entry {
      let task: LiveTask
      let since: Int64
      let order: Int64
    }

    /// Newest last; they go before everyone else.
    var front: [Entry] = []
    var back: [Entry] = []
    /// What is before this index of `back` has left, and waits for the array to be tidied.
    var head = 0

    var count: Int { front.count + back.count - head }
    var first: Entry? { front.last ?? (head < back.count ? back[head] : nil) }

    /// Since when the line has waited: those that push to its front may be younger than those they push back.
    var since: Int64? {
      guard head < back.count else { return front.last?.since }
      guard let front = front.last?.since else { return back[head].since }
      return min(front, back[head].since)
    }

    mutating func removeFirst() {
      if front.popLast() != nil { return }
      guard head < back.count else { return }
      head += 1
      // Moving the rest down only when at least half is gone keeps the cost of each removal constant.
      if head * 2 >= back.count {
        back.removeFirst(head)
        head = 0
      }
    }

    mutating func keep(_ isKept: (LiveTask) -> Bool) {
      front.removeAll { !isKept($0.task) }
      back = back[head...].filter { isKept($0.task) }
      head = 0
    }
  }

  let key: Key
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
  /// What is said about workers that could do it, and how the fleet was then.
  var obstacle: (epoch: UInt64, text: String?)?

  init(_ key: Key, serial: Int) {
    self.key = key
    self.serial = serial
  }

  /// Entries, whatever became of their tasks.
  var count: Int { lines.reduce(0) { $0 + $1.count } }
  var isEmpty: Bool { lines.allSatisfy { $0.count == 0 } }

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
    let entry = Line.Entry(task: task, since: since, order: order)
    if atFront { lines[line].front.append(entry) } else { lines[line].back.append(entry) }
  }

  func first(of line: Int) -> LiveTask? { lines[line].first?.task }
  func removeFirst(of line: Int) { lines[line].removeFirst() }
  func keep(_ isKept: (LiveTask) -> Bool) { for index in lines.indices { lines[index].keep(isKept) } }

  /// Since when the oldest of a line that `matches` holds for has waited, in milliseconds.
  func since(of line: Int, where matches: (LiveTask) -> Bool) -> Int64? {
    let line = lines[line]
    let front = line.front.filter { matches($0.task) }.map(\.since).min()
    let back = line.back[line.head...].first { matches($0.task) }?.since
    return [front, back].compactMap(\.self).min()
  }
}
