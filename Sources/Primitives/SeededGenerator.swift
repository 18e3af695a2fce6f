/// A small, fast random generator whose whole sequence follows from its seed: SplitMix64.
///
/// For jitter, sampling and simulation, where the same seed must replay the same run; never for secrets. The period is
/// 2⁶⁴ words. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
public struct SeededGenerator: RandomNumberGenerator, Sendable, Equatable {
  private var state: UInt64
  /// The step between states, always odd; two generators with different steps walk different sequences.
  private let step: UInt64

  public init(seed: UInt64) {
    self.init(state: seed, step: 0x9E37_79B9_7F4A_7C15)
  }

  private init(state: UInt64, step: UInt64) {
    self.state = state
    self.step = step
  }

  public mutating func next() -> UInt64 {
    Self.mixed(advance())
  }

  /// A generator independent of this one and of every other split.
  ///
  /// Give each simulated worker, link and disk its own: then a draw added to one of them does not shift what the others
  /// draw, and a seed that found a bug still finds it.
  public mutating func split() -> SeededGenerator {
    let state = Self.mixed(advance())
    return SeededGenerator(state: state, step: Self.mixedStep(advance()))
  }

  private mutating func advance() -> UInt64 {
    state &+= step
    return state
  }

  private static func mixed(_ word: UInt64) -> UInt64 {
    var word = word
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  /// An odd step whose bits change often enough: long runs of equal bits would make successive states too alike.
  private static func mixedStep(_ word: UInt64) -> UInt64 {
    var word = word
    word = (word ^ (word >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    word = (word ^ (word >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    word = (word ^ (word >> 33)) | 1
    let changes = (word ^ (word >> 1)).nonzeroBitCount
    return changes < 24 ? word ^ 0xAAAA_AAAA_AAAA_AAAA : word
  }
}
