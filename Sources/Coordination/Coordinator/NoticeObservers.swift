import CoordinationCore

/// Everybody who wants to hear what happens to a coordinator's tasks and workers.
struct NoticeObservers {
  private struct Observer {
    let isWatching: Bool
    let wantsOutput: (TaskID) -> Bool
    let told: (CoordinatorNotice) -> Void
  }

  private var observers: [UInt64: Observer] = [:]
  private var last: UInt64 = 0

  /// - Parameters:
  ///   - isWatching: whether it wants to hear of tasks that other coordinators hold.
  ///   - wantsOutput: of which tasks it wants to hear what they write.
  /// - Returns: its number, by which it is removed.
  mutating func add(
    isWatching: Bool, wantsOutput: @escaping (TaskID) -> Bool, _ told: @escaping (CoordinatorNotice) -> Void
  ) -> UInt64 {
    last += 1
    observers[last] = Observer(isWatching: isWatching, wantsOutput: wantsOutput, told: told)
    return last
  }

  mutating func remove(_ number: UInt64) { observers[number] = nil }
  mutating func removeAll() { observers = [:] }

  func tell(_ notice: CoordinatorNotice) {
    for observer in observers.values { observer.told(notice) }
  }

  var hasWatchers: Bool { observers.values.contains(where: \.isWatching) }
  func wantsOutput(_ task: TaskID) -> Bool { observers.values.contains { $0.wantsOutput(task) } }
}

@available(*, unavailable) extension NoticeObservers: Sendable {}
