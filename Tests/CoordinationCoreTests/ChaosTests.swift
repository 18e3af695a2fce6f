import Testing

@Suite(.timeLimit(.minutes(3)))
struct ChaosTests {
  @Test
  func `whatever fails, every task ends exactly once and nothing acknowledged is lost`() {
    let replayed = seedToReplay()
    let first = freshSeed()
    for offset in 0..<UInt64(replayed == nil ? 300 : 1) {
      let seed = first &+ offset
      var run = ChaosRun(seed: seed)
      let problems = run.run()
      guard !problems.isEmpty else { continue }
      var again = ChaosRun(seed: seed, traces: true)
      _ = again.run()
      let lines = replayed == nil ? again.trace.suffix(60) : again.trace[...]
      Issue.record(
        """
        \(problems.prefix(10).joined(separator: "\n"))
        \(replayCommand(seed, "ChaosTests"))
        drawn: \(run.drawn.joined(separator: "; "))
        \(lines.joined(separator: "\n"))
        """)
      return
    }
  }
}
