import Primitives
import Terminal

/// What became of all commands of a demonstration.
struct DemoOutcome {
  private let verdicts: [DemoVerdict]
  private let took: Duration
  private let wrong: [DemoVerdict]
  let restarted: [DemoVerdict]
  let continued: [DemoVerdict]
  /// They had a checkpoint, and another attempt that did not go on from it.
  private let forgotten: [DemoVerdict]

  init(_ verdicts: [DemoVerdict], _ took: Duration) {
    self.verdicts = verdicts
    self.took = took
    wrong = verdicts.filter { !$0.problems.isEmpty }
    restarted = verdicts.filter { $0.attempts > 1 }
    continued = verdicts.filter { $0.continuedFrom != nil }
    forgotten = restarted.filter { $0.continuedFrom == nil && $0.hadCheckpoint }
  }

  /// Every command did what it must, and none began anew that could have gone on.
  var isRight: Bool { wrong.isEmpty && forgotten.isEmpty }

  var table: Table { DemoVerdict.table(verdicts) }

  /// `40 of 40 commands ended exactly once, as they must, in 21 s`
  func summary(_ how: String) -> String {
    "\(verdicts.count - wrong.count) of \(verdicts.count) commands ended exactly once, \(how), in "
      + "\(Int(took.inSeconds.rounded())) s"
  }

  /// Says what is not as it must be.
  func complain(to console: Console) {
    for verdict in wrong { console.complain("\(verdict.task.id): \(verdict.problems.joined(separator: "; "))") }
    for verdict in forgotten { console.complain("\(verdict.task.id) had a checkpoint and did not continue from it") }
  }
}
