import CoordinationCore
import History
import Primitives
import TrialReport

/// A long queue of background work, into which urgent work comes.
final class MixedPriority: Scenario {
  static let about = ScenarioAbout(
    name: "mixed_priority", summary: "Urgent tasks arrive while a long queue of background tasks waits.",
    passes: "no background task is given out while an urgent one waits", workers: 4, duration: .seconds(30),
    quickWorkers: 3, quickDuration: .seconds(8))

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    let width = run.options.workers * run.settings.slots
    run.submit(width * 4) { $0.priority = .background }
    run.every(.seconds(1)) { run in
      guard run.orders.count - run.ended < width * 6 else { return }
      run.submit(width / 2) { $0.priority = .background }
    }
    run.at(.seconds(2)) { $0.every(.seconds(2)) { $0.submit(width / 2) { $0.priority = .critical } } }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let (overtaken, urgent) = inversions(run, evidence)
    return [
      TrialReport.Criterion(
        "urgent work goes first", expected: "no background task is given out while an urgent one is queued",
        measured: "\(overtaken.count) of \(urgent) urgent tasks were overtaken" + Evidence.some(overtaken),
        isMet: urgent > 0 && overtaken.isEmpty)
    ]
  }

  /// Reads the order of assignments from the coordinator's commits, in which a batch is one decision.
  private func inversions(_ run: TrialRun, _ evidence: Evidence) -> (overtaken: [String], urgent: Int) {
    var waiting: Set<TaskID> = []
    var overtaken: Set<TaskID> = []
    var urgent = 0
    for record in evidence.history {
      guard case .commitBegun(_, let changes) = record.event else { continue }
      var assigned: Set<TaskID> = []
      for case .state(let id, .assigned, _, _) in changes { assigned.insert(id) }
      waiting.subtract(assigned)
      let isBackground = assigned.contains { run.orders[$0]?.work.priority == .background }
      if isBackground { overtaken.formUnion(waiting) }
      for case .submitted(let id) in changes where run.orders[id]?.work.priority == .critical {
        urgent += 1
        if !assigned.contains(id) { waiting.insert(id) }
      }
    }
    return (overtaken.sorted().map(\.text), urgent)
  }
}
