/// The four bytes a client's payload is exclusive-ored with (RFC 6455 §5.3).
public struct MaskingKey: Hashable, Sendable {
  /// The key's bytes in the order they are sent, the first in the lowest bits.
  let word: UInt32

  public init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
    word = UInt32(first) | UInt32(second) << 8 | UInt32(third) << 16 | UInt32(fourth) << 24
  }

  init(word: UInt32) {
    self.word = word
  }

  func byte(at index: Int) -> UInt8 { UInt8(truncatingIfNeeded: word >> (8 * UInt32(index & 3))) }

  /// Masks or unmasks `range` of `bytes` in place; `position` is where in the frame's payload the range starts.
  public func apply(to bytes: inout MutableRawSpan, in range: Range<Int>, position: Int) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount)
    // SAFETY: the range lies within the span, and the pointer stays within the closure.
    unsafe bytes.withUnsafeMutableBytes {
      unsafe apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[range]), position)
    }
  }

  /// Masks or unmasks the end of `bytes`, from `start` on; `position` is where in the frame's payload `start` is.
  func apply(to bytes: inout [UInt8], from start: Int, position: Int) {
    precondition(start >= 0 && start <= bytes.count)
    // SAFETY: the range lies within the array, and the pointer stays within the closure.
    unsafe bytes.withUnsafeMutableBytes {
      unsafe apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[start...]), position)
    }
  }

  @inline(__always)
  private func apply(to bytes: UnsafeMutableRawBufferPointer, _ position: Int) {
    guard var place = bytes.baseAddress else { return }
    // Rotating once makes every following step start at the key's first byte.
    let shift = 8 * UInt32(truncatingIfNeeded: position & 3)
    let rotated = word &>> shift | (shift == 0 ? 0 : word &<< (32 &- shift))
    let wide = UInt64(littleEndian: UInt64(rotated) << 32 | UInt64(rotated))
    var left = bytes.count
    // SAFETY: each step takes no more than what is left.
    if left >= 64 {
      let block = SIMD8<UInt64>(repeating: wide)
      repeat {
        unsafe place.storeBytes(
          of: place.loadUnaligned(as: SIMD8<UInt64>.self) ^ block, as: SIMD8<UInt64>.self)
        unsafe place += 64
        left &-= 64
      } while left >= 64
    }
    while left >= 8 {
      unsafe place.storeBytes(of: place.loadUnaligned(as: UInt64.self) ^ wide, as: UInt64.self)
      unsafe place += 8
      left &-= 8
    }
    if left >= 4 {
      let half = UInt32(littleEndian: rotated)
      unsafe place.storeBytes(of: place.loadUnaligned(as: UInt32.self) ^ half, as: UInt32.self)
      unsafe place += 4
      left &-= 4
    }
    var key = rotated
    while left > 0 {
      unsafe place.storeBytes(of: place.load(as: UInt8.self) ^ UInt8(truncatingIfNeeded: key), as: UInt8.self)
      unsafe place += 1
      key >>= 8
      left &-= 1
    }
  }
}
