/// Collects the bytes of an HTTP head up to its empty line, within a limit; what follows belongs to the frames.
struct HeadReader: Sendable {
  private let limit: Int
  private(set) var bytes: [UInt8] = []

  init(limit: Int) {
    self.limit = max(0, limit)
  }

  var isEmpty: Bool { bytes.isEmpty }

  /// Takes bytes from `offset` on, which moves behind the last one taken; true once the head is complete.
  ///
  /// A line that ends in anything but CR LF is refused at once: such a head would otherwise never be complete.
  mutating func take(_ source: RawSpan, from offset: inout Int) throws(HandshakeError) -> Bool {
    while offset < source.byteCount {
      guard bytes.count < limit else { throw .headTooLong(limit: limit) }
      let byte = source.byte(at: offset)
      let followsReturn = bytes.last == UInt8(ascii: "\r")
      guard followsReturn == (byte == UInt8(ascii: "\n")) else { throw .malformedHead(.lineEnding) }
      bytes.append(byte)
      offset += 1
      if followsReturn && bytes.count >= 4 && bytes[bytes.count - 3] == UInt8(ascii: "\n") { return true }
    }
    return false
  }
}
