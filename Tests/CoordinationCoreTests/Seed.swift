import Glibc

/// `LIFELINE_SEED`, when a failure is to be replayed.
func seedToReplay() -> UInt64? {
  guard let text = getenv("LIFELINE_SEED") else { return nil }
  return UInt64(String(cString: text))
}

/// The seed of a test that draws: the one to replay, or a fresh one.
func freshSeed() -> UInt64 { seedToReplay() ?? UInt64.random(in: 0...999_999_999) }

func replayCommand(_ seed: UInt64, _ filter: String) -> String {
  "replay: LIFELINE_SEED=\(seed) swift test --filter \(filter)"
}
