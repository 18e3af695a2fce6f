/// Takes the chunked transfer coding apart (RFC 9112 §7.1), in pieces of any size.
///
/// Stricter than it must be, as those are who stand in front: every line ends in CR LF, a size is one to eight hexadecimal
/// digits with nothing around them, an extension is short, and trailer fields are well formed, although nobody reads
/// them.
struct ChunkedReader: Sendable {
  private enum Stage {
    /// Of the size's digits so far, how many there were.
    case size(Int, digits: Int)
    case chunkExtension(size: Int, bytes: Int)
    case sizeLineFeed(Int)
    case data(left: Int)
    case dataReturn
    case dataLineFeed
    /// The line so far.
    case trailer([UInt8])
    case trailerLineFeed([UInt8])
    case complete
  }

  private var stage = Stage.size(0, digits: 0)
  private var trailerBytesLeft: Int

  private static let maxSizeDigits = 8
  private static let maxExtensionBytes = 256

  init(maxTrailerBytes: Int) { trailerBytesLeft = maxTrailerBytes }

  var isComplete: Bool {
    if case .complete = stage { true } else { false }
  }

  /// The next piece of the body in `bytes` from `offset` on, which moves behind what was used; `nil` when more bytes are
  /// needed, or the body is complete.
  mutating func next(in bytes: RawSpan, from offset: inout Int) throws(HandshakeError) -> Range<Int>? {
    while offset < bytes.byteCount {
      let byte = bytes.byte(at: offset)
      switch stage {
      case .size(let size, let digits):
        if let digit = Self.hexadecimal(byte) {
          guard digits < Self.maxSizeDigits else { throw .malformedChunk("a size has more than 8 digits") }
          stage = .size(size << 4 | digit, digits: digits + 1)
        } else if digits > 0, byte == UInt8(ascii: "\r") {
          stage = .sizeLineFeed(size)
        } else if digits > 0, byte == UInt8(ascii: ";") {
          stage = .chunkExtension(size: size, bytes: 0)
        } else {
          throw .malformedChunk("a size is not hexadecimal")
        }
      case .chunkExtension(let size, let count):
        guard count < Self.maxExtensionBytes else { throw .malformedChunk("an extension is longer than 256 bytes") }
        if byte == UInt8(ascii: "\r") {
          stage = .sizeLineFeed(size)
        } else {
          guard byte.isFieldByte else { throw .malformedChunk("an extension has a control character") }
          stage = .chunkExtension(size: size, bytes: count + 1)
        }
      case .sizeLineFeed(let size):
        try Self.expect(UInt8(ascii: "\n"), byte)
        stage = size == 0 ? .trailer([]) : .data(left: size)
      case .data(let left):
        let end = offset + min(left, bytes.byteCount - offset)
        let piece = offset..<end
        stage = left == piece.count ? .dataReturn : .data(left: left - piece.count)
        offset = end
        return piece
      case .dataReturn:
        try Self.expect(UInt8(ascii: "\r"), byte)
        stage = .dataLineFeed
      case .dataLineFeed:
        try Self.expect(UInt8(ascii: "\n"), byte)
        stage = .size(0, digits: 0)
      case .trailer(var line):
        guard trailerBytesLeft > 0 else { throw .headTooLong(limit: 0) }
        trailerBytesLeft -= 1
        if byte == UInt8(ascii: "\r") {
          stage = .trailerLineFeed(line)
        } else {
          stage = .complete  // The line has one owner, so that it grows in place.
          line.append(byte)
          stage = .trailer(line)
        }
      case .trailerLineFeed(let line):
        try Self.expect(UInt8(ascii: "\n"), byte)
        if line.isEmpty {
          stage = .complete
        } else {
          try MessageHead.checkField(line)
          stage = .trailer([])
        }
      case .complete:
        return nil
      }
      offset += 1
    }
    return nil
  }

  private static func expect(_ expected: UInt8, _ byte: UInt8) throws(HandshakeError) {
    guard byte == expected else { throw .malformedChunk("a line or the data of a chunk does not end in CR LF") }
  }

  private static func hexadecimal(_ byte: UInt8) -> Int? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(byte - UInt8(ascii: "a")) + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(byte - UInt8(ascii: "A")) + 10
    default: nil
    }
  }
}
