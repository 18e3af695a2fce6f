import Glibc
import Simulation
import Testing

@Suite(.timeLimit(.minutes(5)))
struct SeededRunTests {
  private static let replayed = getenv("LIFELINE_SEED").flatMap { UInt64(String(cString: $0)) }
  /// Drawn anew for each test run, and printed when it matters: with the failing seed.
  private static let first = replayed ?? UInt64.random(in: 0...999_999_999)
  private static let parts = 20
  private static let seedsPerPart = 100

  /// Two thousand seeds, in parts that the test runner may run side by side.
  @Test(arguments: 0..<parts)
  func `whatever fails, every task ends exactly once and nothing acknowledged is lost`(part: Int) {
    let count = Self.replayed == nil ? Self.seedsPerPart : part == 0 ? 1 : 0
    for offset in 0..<count {
      let seed = Self.first &+ UInt64(part * Self.seedsPerPart + offset)
      let (failure, _) = runSeed(seed, traceLines: Self.replayed == nil ? 60 : .max)
      guard let failure else { continue }
      Issue.record("\(failure.text)\nor: LIFELINE_SEED=\(seed) swift test --filter SeededRunTests")
      return
    }
  }

  @Test func `one seed gives one identical run, and another seed another`() {
    var fingerprints: [[UInt64]] = [[], []]
    for seed in 1...20 as ClosedRange<UInt64> {
      for round in 0..<2 {
        var run = SeededRun(seed: seed)
        _ = run.run()
        fingerprints[round].append(run.fingerprint)
      }
    }
    #expect(fingerprints[0] == fingerprints[1])
    #expect(Set(fingerprints[0]).count == 20)
  }

  @Test func `tracing changes nothing`() {
    var (plain, traced) = (SeededRun(seed: 11), SeededRun(seed: 11, traces: true))
    _ = (plain.run(), traced.run())
    #expect(plain.fingerprint == traced.fingerprint)
    #expect(plain.trace.isEmpty)
    #expect(traced.trace.count > 100)
  }

  @Test(arguments: FaultKind.allCases)
  func `each fault alone is drawn and borne`(kind: FaultKind) {
    for seed in 0..<20 as Range<UInt64> {
      var run = SeededRun(seed: seed, faults: [kind])
      #expect(run.run() == [], "seed \(seed), \(kind)")
    }
  }
}
