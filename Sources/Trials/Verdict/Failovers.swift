package import CoordinationCore
package import History
package import Primitives

/// How soon workers were somewhere else once their coordinator was gone, by what coordinators wrote down themselves.
package struct Failovers {
  /// A coordinator that went away.
  package struct Departure: Equatable, Sendable {
    package var coordinator: String
    package var time: Instant

    package init(coordinator: String, time: Instant) {
      self.coordinator = coordinator
      self.time = time
    }
  }

  /// What became of the sessions that it had.
  package struct Outcome: Equatable, Sendable {
    package var departure: Departure
    /// Who was back, where, and after what time.
    package var moved: [WorkerID: (coordinator: String, after: Duration)]
    package var missing: [WorkerID]
    package var longest: Duration { moved.values.map(\.after).max() ?? .zero }
    package var sessions: Int { moved.count + missing.count }

    package static func == (left: Outcome, right: Outcome) -> Bool {
      left.departure == right.departure && left.missing == right.missing
        && left.moved.mapValues(\.after) == right.moved.mapValues(\.after)
    }
  }

  private struct Registration {
    let worker: WorkerID
    let coordinator: String
    let time: Instant
  }

  private let registrations: [Registration]

  /// - Parameter histories: of each coordinator, by its name.
  package init(_ histories: [String: [HistoryRecord]]) {
    var registrations: [Registration] = []
    for (name, records) in histories {
      for record in records {
        guard case .registered(let worker, _, resumed: _) = record.event else { continue }
        registrations.append(Registration(worker: worker, coordinator: name, time: record.time))
      }
    }
    self.registrations = registrations.sorted { $0.time < $1.time }
  }

  /// Which workers each coordinator holds at a moment.
  package func sessions(at time: Instant) -> [String: Set<WorkerID>] {
    var place: [WorkerID: String] = [:]
    for registration in registrations where registration.time <= time {
      place[registration.worker] = registration.coordinator
    }
    var sessions: [String: Set<WorkerID>] = [:]
    for (worker, coordinator) in place { sessions[coordinator, default: []].insert(worker) }
    return sessions
  }

  /// Workers that this coordinator held at the time of its departure, and when each was registered again, wherever.
  package func outcome(of departure: Departure) -> Outcome {
    var outcome = Outcome(departure: departure, moved: [:], missing: [])
    for worker in sessions(at: departure.time)[departure.coordinator] ?? [] {
      let next = registrations.first { $0.worker == worker && $0.time > departure.time }
      if let next {
        outcome.moved[worker] = (coordinator: next.coordinator, after: next.time - departure.time)
      } else {
        outcome.missing.append(worker)
      }
    }
    outcome.missing.sort()
    return outcome
  }
}
