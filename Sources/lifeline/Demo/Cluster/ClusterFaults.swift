import CoordinationCore
import Primitives
import Reactor
import Terminal
import Trials

/// What was done to coordinators and to the database, and how long each took until everything went on.
struct ClusterFaults {
  struct Fault {
    var what: String
    /// Seconds after the start.
    var at: Double
    /// `nil`: it was the database.
    var departure: Failovers.Departure?
    var outcome: Failovers.Outcome?
    /// The database was there again, and the first command ended that it was told of.
    var backAt: Instant?
    var workedAt: Instant?

    var isOver: Bool { departure == nil ? workedAt != nil : outcome?.missing.isEmpty == true && outcome?.sessions != 0 }
  }

  private(set) var list: [Fault] = []

  mutating func add(_ what: String, _ at: Double, _ departure: Failovers.Departure?) -> Int {
    list.append(Fault(what: what, at: at, departure: departure))
    return list.count - 1
  }

  /// What has become of a coordinator's sessions so far.
  mutating func outcome(_ index: Int, _ failovers: Failovers) -> Failovers.Outcome? {
    guard list.indices.contains(index), let departure = list[index].departure else { return nil }
    list[index].outcome = failovers.outcome(of: departure)
    return list[index].outcome
  }

  mutating func back(_ index: Int, _ time: Instant) {
    if list.indices.contains(index) { list[index].backAt = time }
  }

  /// A command has ended, and its result is durable.
  mutating func worked(_ time: Instant) {
    for index in list.indices where list[index].backAt != nil && list[index].workedAt == nil {
      list[index].workedAt = time
    }
  }

  mutating func close(_ failovers: Failovers) { for index in list.indices { _ = outcome(index, failovers) } }

  var table: Table {
    var table = Table([
      Table.Column("WHAT HAPPENED", mayShrink: true), Table.Column("AT", .right), Table.Column("WORKERS", .right),
      Table.Column("WENT ON WITHIN", .right), Table.Column("WHERE", mayShrink: true),
    ])
    for fault in list {
      let within: String
      let place: String
      if let outcome = fault.outcome {
        within = fault.isOver ? DemoStage.text(outcome.longest) : "NOT ALL"
        place = outcome.places
      } else if let back = fault.backAt, let worked = fault.workedAt {
        within = DemoStage.text(worked - back)
        place = "after it was started again"
      } else {
        (within, place) = ("NEVER", "")
      }
      table.append([
        Table.Cell(fault.what), Table.Cell(DemoStage.text(.seconds(fault.at))),
        Table.Cell(fault.outcome.map { "\($0.sessions)" } ?? ""),
        Table.Cell(within, fault.isOver ? .green : .red), Table.Cell(place),
      ])
    }
    return table
  }
}

extension Failovers.Outcome {
  /// `3 at coordinator-2, 1 at coordinator-3`
  var places: String {
    var counts: [String: Int] = [:]
    for place in moved.values { counts[place.coordinator, default: 0] += 1 }
    return counts.sorted { $0.key < $1.key }.map { "\($0.value) at \($0.key)" }.joined(separator: ", ")
  }
}
