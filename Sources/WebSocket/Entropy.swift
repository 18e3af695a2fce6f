import Glibc

/// The system's randomness, fetched 256 bytes at a time: masking every frame must not cost a system call.
struct Entropy: RandomNumberGenerator {
  private var words: [UInt64] = []

  mutating func next() -> UInt64 {
    if words.isEmpty { refill() }
    return words.popLast() ?? UInt64.random(in: .min ... .max)
  }

  private mutating func refill() {
    words = Array(repeating: 0, count: 32)
    // SAFETY: getentropy writes exactly the 256 bytes that the words hold.
    let result = unsafe words.withUnsafeMutableBytes { unsafe getentropy($0.baseAddress, $0.count) }
    // An old kernel without it: the standard library knows other ways.
    if result != 0 { words = [] }
  }
}
