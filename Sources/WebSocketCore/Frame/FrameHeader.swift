/// What precedes a frame's payload (RFC 6455 §5.2):
///
///     fin rsv1-3 opcode | mask length(7) | length(16 or 64, if 126 or 127) | masking key (if mask)
public struct FrameHeader: Hashable, Sendable {
  /// Whether this is the last frame of its message.
  public var isFinal: Bool
  /// RSV1 to RSV3 as they stand in the first byte (0x40, 0x20, 0x10).
  public var reservedBits: UInt8
  public var opcode: Opcode
  public var maskingKey: MaskingKey?
  public var payloadBytes: Int

  public init(
    isFinal: Bool = true, reservedBits: UInt8 = 0, opcode: Opcode, maskingKey: MaskingKey? = nil, payloadBytes: Int
  ) {
    self.isFinal = isFinal
    self.reservedBits = reservedBits
    self.opcode = opcode
    self.maskingKey = maskingKey
    self.payloadBytes = payloadBytes
  }

  /// RSV1, which permessage-deflate sets in the first frame of a compressed message (RFC 7692 §6).
  public static let compressedBit: UInt8 = 0x40

  /// The longest encoding, in bytes.
  public static let maxBytes = 14

  /// How long the header that starts with these two bytes is, in bytes.
  static func encodedBytes(secondByte: UInt8) -> Int {
    let mask = secondByte & 0x80 != 0 ? 4 : 0
    switch secondByte & 0x7F {
    case 126: return 4 + mask
    case 127: return 10 + mask
    default: return 2 + mask
    }
  }

  /// What a receiver allows.
  struct Rules: Hashable, Sendable {
    /// The receiver's role.
    var role: Role
    /// Reserved bits that a negotiated extension gave a meaning to.
    var allowedReservedBits: UInt8
    var maxFrameBytes: Int
  }

  /// Reads the header at `start`; `nil` if it is not complete yet.
  ///
  /// What the first two bytes already betray is an error without waiting for the rest.
  static func decode(
    _ bytes: RawSpan, at start: Int, rules: Rules
  ) throws(ProtocolError) -> (header: FrameHeader, bytes: Int)? {
    let available = bytes.byteCount - start
    guard available >= 2 else { return nil }
    let first = bytes.byte(at: start)
    let second = bytes.byte(at: start + 1)
    let opcode = try checkedOpcode(first: first, second: second, rules: rules)
    let total = encodedBytes(secondByte: second)
    guard available >= total else { return nil }

    var position = start + 2
    var length = UInt64(second & 0x7F)
    if length >= 126 {
      let width = length == 126 ? 2 : 8
      let smallest: UInt64 = length == 126 ? 126 : 65_536
      length = 0
      for _ in 0..<width {
        length = length << 8 | UInt64(bytes.byte(at: position))
        position += 1
      }
      if length >> 63 != 0 { throw .lengthTopBitSet }
      if length < smallest { throw .lengthNotMinimal(length: length) }
    }
    // The limit is an Int, so a length that passes it fits one.
    guard length <= UInt64(rules.maxFrameBytes) else {
      throw .frameTooLong(length: length, limit: rules.maxFrameBytes)
    }
    var key: MaskingKey?
    if rules.role == .server {
      key = MaskingKey(
        bytes.byte(at: position), bytes.byte(at: position + 1), bytes.byte(at: position + 2),
        bytes.byte(at: position + 3))
    }
    let header = FrameHeader(
      isFinal: first & 0x80 != 0, reservedBits: first & 0x70, opcode: opcode, maskingKey: key,
      payloadBytes: Int(length))
    return (header, total)
  }

  /// A frame that is a message by itself.
  struct UsualFrame {
    let kind: MessageKind
    let maskingKey: MaskingKey?
    let payload: Range<Int>
  }

  /// The frame at `start` if it is a whole message, plain, correct and all there; `nil` for any other.
  ///
  /// The fast path of `decode`, which judges the rest. In a server's traffic this is nearly every frame.
  @inline(__always)
  static func decodeUsual(_ bytes: RawSpan, at start: Int, role: Role, maxPayloadBytes: Int) -> UsualFrame? {
    let available = bytes.byteCount - start
    guard available >= 2 else { return nil }
    let kind: MessageKind
    switch bytes.byte(at: start) {
    case 0x80 | Opcode.text.rawValue: kind = .text
    case 0x80 | Opcode.binary.rawValue: kind = .binary
    default: return nil
    }
    let second = bytes.byte(at: start + 1)
    let isMasked = second & 0x80 != 0
    guard isMasked == (role == .server) else { return nil }
    let headerBytes = encodedBytes(secondByte: second)
    guard available >= headerBytes else { return nil }
    var length = Int(second & 0x7F)
    if length == 126 {
      length = Int(UInt16(bigEndian: bytes.load(at: start + 2)))
      guard length >= 126 else { return nil }
    } else if length == 127 {
      let long = UInt64(bigEndian: bytes.load(at: start + 2))
      guard long >= 65_536, long <= UInt64(maxPayloadBytes) else { return nil }
      length = Int(long)
    }
    guard length <= maxPayloadBytes, length <= available - headerBytes else { return nil }
    let payload = start + headerBytes
    let key = isMasked ? MaskingKey(word: UInt32(littleEndian: bytes.load(at: payload - 4))) : nil
    return UsualFrame(kind: kind, maskingKey: key, payload: payload..<(payload + length))
  }

  private static func checkedOpcode(first: UInt8, second: UInt8, rules: Rules) throws(ProtocolError) -> Opcode {
    let unexpected = first & 0x70 & ~rules.allowedReservedBits
    guard unexpected == 0 else { throw .reservedBits(bits: unexpected) }
    guard let opcode = Opcode(rawValue: first & 0x0F) else { throw .unknownOpcode(first & 0x0F) }
    // What an extension may mark are messages (RFC 7692 §6.1).
    guard first & 0x70 == 0 || !opcode.isControl else { throw .reservedBits(bits: first & 0x70) }
    let isMasked = second & 0x80 != 0
    switch rules.role {
    case .server: guard isMasked else { throw .maskMissing }
    case .client: guard !isMasked else { throw .maskUnexpected }
    }
    if opcode.isControl {
      // The marks 126 and 127 announce a longer length, whatever it turns out to be.
      guard second & 0x7F <= 125 else { throw .controlFrameTooLong(opcode, length: UInt64(second & 0x7F)) }
      guard first & 0x80 != 0 else { throw .fragmentedControlFrame(opcode) }
    }
    return opcode
  }

  /// The header as it is sent, without a heap allocation.
  @inline(__always)
  public var encoded: EncodedFrameHeader {
    let first = UInt64((isFinal ? 0x80 : 0) | reservedBits | opcode.rawValue)
    let mask: UInt64 = maskingKey == nil ? 0 : 0x8000
    var header =
      switch payloadBytes {
      case ...125:
        EncodedFrameHeader(count: 2, first | mask | UInt64(payloadBytes) << 8)
      case ...65_535:
        EncodedFrameHeader(
          count: 4, first | mask | 126 << 8 | UInt64(UInt16(truncatingIfNeeded: payloadBytes).byteSwapped) << 16)
      default:
        EncodedFrameHeader(
          count: 10, first | mask | 127 << 8 | UInt64(payloadBytes).byteSwapped << 16,
          UInt64(payloadBytes).byteSwapped >> 48)
      }
    if let maskingKey { header.append(maskingKey.word) }
    return header
  }
}

/// A frame header's bytes.
public struct EncodedFrameHeader: Sendable {
  /// The bytes in the order of sending, the first in the lowest bits: two words are built faster than 14 bytes.
  private var low: UInt64
  private var high: UInt64
  public private(set) var count: Int

  @inline(__always)
  fileprivate init(count: Int, _ low: UInt64, _ high: UInt64 = 0) {
    self.low = low
    self.high = high
    self.count = count
  }

  /// The bytes: the first `count` of this memory.
  public var storage: InlineArray<2, UInt64> {
    @inline(__always) get { [low.littleEndian, high.littleEndian] }
  }

  @inline(__always)
  fileprivate mutating func append(_ word: UInt32) {
    let bits = UInt64(word)
    let shift = UInt64(count) * 8
    // A shift by 64 or more, or by less than zero, gives what it should here: nothing, or the other direction.
    low |= bits << shift
    high |= bits << (Int(shift) - 64)
    count += 4
  }
}

extension [UInt8] {
  /// Appends the header's bytes.
  public mutating func append(_ header: EncodedFrameHeader) {
    let storage = header.storage
    // SAFETY: every byte of an integer is initialized.
    unsafe append(contentsOf: storage.span.bytes.extracting(0..<header.count))
  }
}
