import Primitives

/// Queued tasks by kind of work and priority, served as `AgingLines` says.
///
/// Entries are only hints: a task that was cancelled or held back stays in the queue until its turn comes and it is
/// skipped, so leaving the queue early costs nothing.
struct ReadyQueue {
  private var lines: [String: AgingLines<TaskID>] = [:]
  /// `nil`: strict order.
  let aging: Duration?
  /// Whether priorities count; otherwise all wait in one line.
  let isPrioritized: Bool
  /// The clock's latest; what is measured with it must not seem younger when it is set back.
  private var latest: Int64 = .min

  init(aging: Duration?, isPrioritized: Bool = true) {
    self.aging = aging
    self.isPrioritized = isPrioritized
  }

  /// Entries, whatever became of their tasks.
  var count: Int { lines.values.reduce(0) { $0 + $1.count } }

  /// Drops the entries of tasks that are gone: for a kind of work that nobody can do they would pile up for ever.
  mutating func removeAll(except isKept: (TaskID) -> Bool) {
    for kind in lines.keys {
      lines[kind]?.removeAll(except: isKept)
      if lines[kind]?.isEmpty == true { lines[kind] = nil }
    }
  }

  /// Kinds with something in line, in a fixed order so that a simulation repeats itself.
  var kinds: [String] { lines.filter { !$0.value.isEmpty }.keys.sorted() }

  func hasReady(kind: String) -> Bool { lines[kind].map { !$0.isEmpty } ?? false }

  /// - Parameters:
  ///   - since: when the task was submitted; it is that old for the order of priorities even if it was restored since.
  ///   - atFront: before everyone else of its priority.
  mutating func push(_ id: TaskID, kind: String, priority: Priority, since: WallTime, atFront: Bool) {
    let priority = isPrioritized ? priority : .normal
    lines[kind, default: AgingLines(aging: aging)].push(
      id, priority, since: since.milliseconds, atFront: atFront)
  }

  /// The next task that `accept` finds to be ready; those that it returns `nil` for are skipped.
  mutating func pop<Task>(kind: String, at wall: WallTime, accept: (TaskID) -> Task?) -> Task? {
    latest = max(latest, wall.milliseconds)
    while let turn = lines[kind]?.turn(at: latest), let id = lines[kind]?.first(of: turn.priority) {
      lines[kind]?.dropFirst(of: turn.priority)
      guard let task = accept(id) else { continue }
      lines[kind]?.used(turn)
      return task
    }
    lines[kind] = nil
    return nil
  }

  /// Since when the oldest of those that `matches` holds for has been there, in milliseconds.
  func oldest(of priority: Priority, where matches: (TaskID) -> Bool) -> Int64? {
    let priority = isPrioritized ? priority : .normal
    return lines.values.compactMap { $0.since(of: priority, where: matches) }.min()
  }
}
