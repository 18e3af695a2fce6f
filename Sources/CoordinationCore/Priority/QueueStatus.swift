/// How much waits at each priority, and for how long.
public struct QueueStatus: Equatable, Sendable {
  public struct Level: Equatable, Sendable {
    public var waiting = 0
    /// How long the oldest has waited; `nil` when nothing waits.
    public var oldest: Duration?
  }

  private var levels = Array(repeating: Level(), count: Priority.allCases.count)

  public init() {}

  public subscript(priority: Priority) -> Level {
    get { levels[priority.rawValue] }
    set { levels[priority.rawValue] = newValue }
  }

  public var waiting: Int { levels.reduce(0) { $0 + $1.waiting } }

  public mutating func add(_ priority: Priority, waited: Duration) {
    levels[priority.rawValue].waiting += 1
    levels[priority.rawValue].oldest = max(levels[priority.rawValue].oldest ?? .zero, waited)
  }

  /// The counts of both, and the longer of their waits.
  public mutating func add(_ other: QueueStatus) {
    for priority in Priority.allCases {
      self[priority].waiting += other[priority].waiting
      guard let waited = other[priority].oldest else { continue }
      self[priority].oldest = max(self[priority].oldest ?? .zero, waited)
    }
  }

  /// `{"CRITICAL": {"waiting": 0, "oldest_s": null}, …}`, the most urgent first.
  public var json: JSONObject {
    var object = JSONObject()
    for priority in Priority.allCases {
      let level = self[priority]
      object.append(
        priority.name,
        [
          "waiting": .integer(Int64(level.waiting)), "oldest_s": level.oldest.map { JSONValue.duration($0) } ?? .null,
        ])
    }
    return object
  }
}
