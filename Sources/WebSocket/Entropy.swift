import Glibc

/// The system's randomness, fetched 256 bytes at a time: masking every frame must not cost a system call.
struct Entropy: RandomNumberGenerator {
  private var words = [UInt64](repeating: 0, count: 32)
  /// Those not given out yet, at the end of `words`.
  private var unused = 0

  mutating func next() -> UInt64 {
    if unused == 0 { refill() }
    guard unused > 0 else { return UInt64.random(in: .min ... .max) }
    unused -= 1
    return words[unused]
  }

  private mutating func refill() {
    // SAFETY: getentropy writes exactly the 256 bytes that the words hold.
    let result = unsafe words.withUnsafeMutableBytes { unsafe getentropy($0.baseAddress, $0.count) }
    // An old kernel without it: the standard library knows other ways.
    if result == 0 { unused = words.count }
  }
}
