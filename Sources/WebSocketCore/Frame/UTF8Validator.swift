/// Checks UTF-8 that arrives in parts, and says so at the first byte that cannot be right (RFC 3629, RFC 6455 §8.1).
public struct UTF8Validator: Hashable, Sendable {
  /// Continuation bytes the current scalar still needs.
  private var needed: UInt8 = 0
  /// What the next continuation byte may be: narrower than 80...BF after E0, ED, F0 and F4.
  private var lowest: UInt8 = 0x80
  private var highest: UInt8 = 0xBF

  public init() {}

  /// Whether the text may end here.
  public var isBetweenScalars: Bool { needed == 0 }

  /// Takes the next part of the text; false as soon as no continuation could make it UTF-8.
  public mutating func accept(_ bytes: RawSpan) -> Bool {
    var offset = 0
    let count = bytes.byteCount
    while needed > 0 && offset < count {
      guard step(bytes.byte(at: offset)) else { return false }
      offset += 1
    }
    let tail = max(offset, Self.startOfTail(bytes, from: offset))
    guard Self.isValid(bytes.extracting(offset..<tail)) else { return false }
    offset = tail
    while offset < count {
      guard step(bytes.byte(at: offset)) else { return false }
      offset += 1
    }
    return true
  }

  /// Where a scalar starts that the end of `bytes` may cut: everything before it can be judged at once.
  private static func startOfTail(_ bytes: RawSpan, from start: Int) -> Int {
    var index = bytes.byteCount
    while index > start && bytes.byteCount - index < 3 {
      index -= 1
      let byte = bytes.byte(at: index)
      if byte < 0x80 { return bytes.byteCount }
      if byte >= 0xC0 { return index }
    }
    // Three continuation bytes end a scalar of four bytes, or nothing valid.
    return bytes.byteCount
  }

  /// Whether these bytes are UTF-8 by themselves.
  static func isValid(_ bytes: RawSpan) -> Bool {
    if bytes.byteCount == 0 { return true }
    // SAFETY: bytes are initialized, and the pointer stays within the closure.
    return unsafe bytes.withUnsafeBytes { buffer in
      let span = unsafe Span<UInt8>(_unsafeElements: buffer.assumingMemoryBound(to: UInt8.self))
      return (try? UTF8Span(validating: span)) != nil
    }
  }

  private mutating func step(_ byte: UInt8) -> Bool {
    if needed > 0 {
      guard byte >= lowest && byte <= highest else { return false }
      needed -= 1
      lowest = 0x80
      highest = 0xBF
      return true
    }
    switch byte {
    case 0x00...0x7F: return true
    case 0xC2...0xDF: needed = 1
    case 0xE0:
      needed = 2
      lowest = 0xA0  // Below it would fit two bytes.
    case 0xED:
      needed = 2
      highest = 0x9F  // Above it are the surrogates.
    case 0xE1...0xEF: needed = 2
    case 0xF0:
      needed = 3
      lowest = 0x90  // Below it would fit three bytes.
    case 0xF4:
      needed = 3
      highest = 0x8F  // Above it is past U+10FFFF.
    case 0xF1...0xF3: needed = 3
    default: return false
    }
    return true
  }
}
