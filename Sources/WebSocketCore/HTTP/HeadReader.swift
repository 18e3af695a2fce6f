/// Collects the bytes of an HTTP head up to its empty line, within a limit; what follows belongs to the frames.
struct HeadReader: Sendable {
  private let limit: Int
  private(set) var bytes: [UInt8] = []

  /// Places in a head are kept in 32 bits.
  private static let maxBytes = 1 << 30

  init(limit: Int) {
    self.limit = min(max(0, limit), Self.maxBytes)
  }

  var isEmpty: Bool { bytes.isEmpty }

  /// Takes bytes from `offset` on, which moves behind the last one taken; true once the head is complete.
  ///
  /// A line that ends in anything but CR LF is refused at once: such a head would otherwise never be complete.
  mutating func take(_ source: RawSpan, from offset: inout Int) throws(HandshakeError) -> Bool {
    let start = offset
    var end = start
    var previous = bytes.last
    // How much of CR LF CR LF the bytes before `end` are.
    var matched = matchedOfEnd
    while end < source.byteCount {
      guard bytes.count + end - start < limit else { throw .headTooLong(limit: limit) }
      let byte = source.byte(at: end)
      let followsReturn = previous == UInt8(ascii: "\r")
      guard followsReturn == (byte == UInt8(ascii: "\n")) else { throw .malformedHead(.lineEnding) }
      end += 1
      previous = byte
      if byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") {
        // A CR starts or continues the end, and an LF always follows a CR here.
        matched = byte == UInt8(ascii: "\r") ? (matched == 2 ? 3 : 1) : matched + 1
        if matched == 4 { break }
      } else {
        matched = 0
      }
    }
    makeRoom(for: end - start)
    bytes.append(contentsOf: source.extracting(start..<end))
    offset = end
    return matched == 4
  }

  /// Grows by doubling as an array does, but never beyond the limit: a head that comes byte by byte holds no more than it
  /// may ever need.
  private mutating func makeRoom(for count: Int) {
    let needed = bytes.count + count
    if needed > bytes.capacity { bytes.reserveCapacity(min(limit, max(needed, 2 * bytes.capacity, 64))) }
  }

  private var matchedOfEnd: Int {
    switch bytes.last {
    case UInt8(ascii: "\r"): bytes.count >= 2 && bytes[bytes.count - 2] == UInt8(ascii: "\n") ? 3 : 1
    case UInt8(ascii: "\n"): 2
    default: 0
    }
  }
}
