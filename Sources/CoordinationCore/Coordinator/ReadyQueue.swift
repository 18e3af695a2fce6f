/// Queued tasks by kind of work and priority, first come first served within each.
///
/// Entries are only hints: a task that was cancelled or held back stays in the queue until it is popped and skipped, so
/// leaving the queue early costs nothing.
struct ReadyQueue {
  private struct Line {
    /// Requeued tasks, newest first; they go before everyone else.
    var front: [TaskID] = []
    var back: [TaskID] = []
    var head = 0

    var isEmpty: Bool { front.isEmpty && head == back.count }

    mutating func pop() -> TaskID? {
      if let id = front.popLast() { return id }
      guard head < back.count else { return nil }
      defer {
        head += 1
        if head * 2 >= back.count {
          back.removeFirst(head)
          head = 0
        }
      }
      return back[head]
    }
  }

  private var lines: [String: [Line]] = [:]

  /// Kinds with something in line, in a fixed order so that a simulation repeats itself.
  var kinds: [String] { lines.filter { $0.value.contains { !$0.isEmpty } }.keys.sorted() }

  func hasReady(kind: String) -> Bool { lines[kind]?.contains { !$0.isEmpty } ?? false }

  mutating func push(_ id: TaskID, kind: String, priority: TaskPriority, atFront: Bool) {
    let count = TaskPriority.allCases.count
    if atFront {
      lines[kind, default: Array(repeating: Line(), count: count)][priority.rawValue].front.append(id)
    } else {
      lines[kind, default: Array(repeating: Line(), count: count)][priority.rawValue].back.append(id)
    }
  }

  mutating func pop(kind: String) -> TaskID? {
    guard let count = lines[kind]?.count else { return nil }
    for index in 0..<count {
      if let id = lines[kind]?[index].pop() { return id }
    }
    lines[kind] = nil
    return nil
  }
}
