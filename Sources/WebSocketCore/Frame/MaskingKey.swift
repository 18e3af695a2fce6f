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

  private func apply(to bytes: UnsafeMutableRawBufferPointer, _ position: Int) {
    // Rotating once makes every following step start at the key's first byte.
    let shift = 8 * UInt32(position & 3)
    let rotated = shift == 0 ? word : word >> shift | word << (32 - shift)
    let wide = UInt64(rotated) << 32 | UInt64(rotated)
    let block = SIMD8<UInt64>(repeating: UInt64(littleEndian: wide))
    var offset = 0
    let count = bytes.count
    // SAFETY: each loop ends where its step would pass `count`.
    while count - offset >= 64 {
      let masked = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self) ^ block
      unsafe bytes.storeBytes(of: masked, toByteOffset: offset, as: SIMD8<UInt64>.self)
      offset += 64
    }
    while count - offset >= 8 {
      let masked = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ UInt64(littleEndian: wide)
      unsafe bytes.storeBytes(of: masked, toByteOffset: offset, as: UInt64.self)
      offset += 8
    }
    while offset < count {
      unsafe bytes[offset] ^= UInt8(truncatingIfNeeded: rotated >> (8 * UInt32(offset & 3)))
      offset += 1
    }
  }
}
