/// A seed that found something, with all that is needed to see it again.
public struct SeedFailure: Sendable {
  public let seed: UInt64
  public let problems: [String]
  /// The options and the faults that were drawn.
  public let drawn: [String]
  /// The last lines of what happened.
  public let trace: [String]
  /// What was chosen beside the seed.
  let options: String

  /// The program's command that runs the same seed with its whole trace.
  public var command: String { "lifeline simulate --replay \(seed)\(options)" }

  public var text: String {
    """
    seed \(seed): \(problems.count) problems
    \(problems.prefix(10).joined(separator: "\n"))
    drawn: \(drawn.joined(separator: "; "))
    \(trace.joined(separator: "\n"))
    replay: \(command)
    """
  }
}

/// Runs one seed; when it finds something, once more with its trace.
public func runSeed(
  _ seed: UInt64, faults: [FaultKind] = FaultKind.allCases, coordinators: Int? = nil, traceLines: Int = 60
) -> (failure: SeedFailure?, workerSeconds: Double) {
  var run = SeededRun(seed: seed, faults: faults, coordinators: coordinators)
  let problems = run.run()
  guard !problems.isEmpty else { return (nil, run.workerSeconds) }
  var again = SeededRun(seed: seed, traces: true, faults: faults, coordinators: coordinators)
  _ = again.run()
  let names = faults == FaultKind.allCases ? "" : " --faults " + faults.map(\.rawValue).joined(separator: ",")
  let failure = SeedFailure(
    seed: seed, problems: problems, drawn: run.drawn, trace: Array(again.trace.suffix(traceLines)),
    options: names + (coordinators.map { " --coordinators \($0)" } ?? ""))
  return (failure, run.workerSeconds)
}
