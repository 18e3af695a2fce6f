import Primitives

/// Tells members of tasks that change, as long as somebody there watches.
struct ChangeFeed {
  /// What changes several times within this is told once.
  static let interval: Duration = .milliseconds(50)
  /// Who watches says so again and again: nobody need say that it has died.
  static let repetition: Duration = .seconds(5)
  static let memory: Duration = .seconds(16)
  /// What one message says of tasks, in bytes, and how many tasks are named at once.
  static let maxBytes = 7_000
  static let maxTasks = 5_000

  private var isWatching = false
  private var watchers: [MemberID: Instant] = [:]
  /// Whether it is not even known who else there is: what changes until then is told to all of them.
  private var knowsNobody = true
  private var changed: Set<TaskID> = []
  private var hasChangedMany = false
  private var tellsAt: Instant = .distantFuture
  private var repeatsAt: Instant = .distantFuture

  var nextDeadline: Instant { min(knowsNobody ? .distantFuture : tellsAt, repeatsAt) }
  var hasWatchers: Bool { knowsNobody || !watchers.isEmpty }

  mutating func setWatching(_ watching: Bool, at now: Instant, _ effects: inout [ClusterEffect]) {
    guard watching != isWatching else { return }
    isWatching = watching
    repeatsAt = watching ? now + Self.repetition : .distantFuture
    effects.append(.send(.watching(watching), to: nil))
  }

  mutating func heard(_ watching: Bool, from member: MemberID, at now: Instant) {
    watchers[member] = watching ? now + Self.memory : nil
  }

  /// They may have said that they watch, and not been heard: until it is known they are told as if they did.
  mutating func mayHaveMissed(_ members: some Sequence<MemberID>, at now: Instant, _ effects: inout [ClusterEffect]) {
    knowsNobody = false
    for member in members { watchers[member] = now + Self.memory }
    if isWatching { effects.append(.send(.watching(true), to: nil)) }
  }

  mutating func note(_ tasks: some Sequence<TaskID>, at now: Instant) {
    guard hasWatchers else { return }
    for task in tasks {
      guard changed.count < Self.maxTasks else {
        hasChangedMany = true
        break
      }
      changed.insert(task)
    }
    if tellsAt == .distantFuture { tellsAt = now + Self.interval }
  }

  /// Tasks that were put into the pool here: their watchers here do not hear of them from the coordinator.
  func submitted(_ tasks: [TaskID], _ effects: inout [ClusterEffect]) {
    if isWatching, !tasks.isEmpty { effects.append(.changedElsewhere(tasks)) }
  }

  mutating func tick(at now: Instant, _ effects: inout [ClusterEffect]) {
    if now >= repeatsAt {
      repeatsAt = now + Self.repetition
      effects.append(.send(.watching(true), to: nil))
    }
    guard now >= tellsAt, !knowsNobody else { return }
    tellsAt = .distantFuture
    watchers = watchers.filter { $0.value > now }
    defer {
      changed = []
      hasChangedMany = false
    }
    for member in watchers.keys.sorted() {
      if hasChangedMany {
        effects.append(.send(.changedMany, to: member))
      } else {
        for part in Self.parts(changed.sorted()) { effects.append(.send(.changed(part), to: member)) }
      }
    }
  }

  private static func parts(_ tasks: [TaskID]) -> [[TaskID]] {
    var parts: [[TaskID]] = []
    var (part, bytes): ([TaskID], Int) = ([], 0)
    for task in tasks {
      let more = task.text.utf8.count + 3
      if bytes + more > maxBytes, !part.isEmpty {
        parts.append(part)
        (part, bytes) = ([], 0)
      }
      part.append(task)
      bytes += more
    }
    return part.isEmpty ? parts : parts + [part]
  }
}
