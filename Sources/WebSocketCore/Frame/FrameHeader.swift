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

  private static func checkedOpcode(first: UInt8, second: UInt8, rules: Rules) throws(ProtocolError) -> Opcode {
    let unexpected = first & 0x70 & ~rules.allowedReservedBits
    guard unexpected == 0 else { throw .reservedBits(bits: unexpected) }
    guard let opcode = Opcode(rawValue: first & 0x0F) else { throw .unknownOpcode(first & 0x0F) }
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
  public var encoded: EncodedFrameHeader {
    var result = EncodedFrameHeader()
    result.append((isFinal ? 0x80 : 0) | reservedBits | opcode.rawValue)
    let mask: UInt8 = maskingKey == nil ? 0 : 0x80
    switch payloadBytes {
    case ...125:
      result.append(mask | UInt8(payloadBytes))
    case ...65_535:
      result.append(mask | 126)
      result.append(UInt8(truncatingIfNeeded: payloadBytes >> 8))
      result.append(UInt8(truncatingIfNeeded: payloadBytes))
    default:
      result.append(mask | 127)
      for shift in stride(from: 56, through: 0, by: -8) {
        result.append(UInt8(truncatingIfNeeded: payloadBytes >> shift))
      }
    }
    if let maskingKey {
      for index in 0..<4 { result.append(maskingKey.byte(at: index)) }
    }
    return result
  }
}

/// A frame header's bytes: the first `count` of `storage`.
public struct EncodedFrameHeader: Sendable {
  public private(set) var storage = InlineArray<14, UInt8>(repeating: 0)
  public private(set) var count = 0

  fileprivate mutating func append(_ byte: UInt8) {
    storage[count] = byte
    count += 1
  }
}

extension [UInt8] {
  /// Appends the header's bytes.
  public mutating func append(_ header: EncodedFrameHeader) {
    for index in 0..<header.count { append(header.storage[index]) }
  }
}
