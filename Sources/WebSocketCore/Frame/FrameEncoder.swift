/// A client's source of masking keys, which must be unpredictable to others (RFC 6455 §10.3).
final class MaskingKeys {
  private var generator: any RandomNumberGenerator

  init(_ generator: any RandomNumberGenerator) {
    self.generator = generator
  }

  func next() -> MaskingKey { MaskingKey(word: UInt32(truncatingIfNeeded: generator.next())) }
}

/// Writes frames: a header in front of the payload, masked with a fresh key when a client sends (RFC 6455 §5.3).
public struct FrameEncoder {
  /// `nil` for a server.
  private let keys: MaskingKeys?

  init(keys: MaskingKeys?) {
    self.keys = keys
  }

  /// An encoder of unmasked frames.
  public static var server: FrameEncoder { FrameEncoder(keys: nil) }

  /// An encoder of masked frames; `keys` must be unpredictable to others.
  public static func client(keys: any RandomNumberGenerator) -> FrameEncoder { FrameEncoder(keys: MaskingKeys(keys)) }

  /// Appends one frame.
  public func append(
    _ opcode: Opcode, isFinal: Bool = true, isCompressed: Bool = false, payload: RawSpan, to output: inout [UInt8]
  ) {
    guard let key = keys?.next() else {
      output.append(
        Self.unmaskedHeader(
          opcode, isFinal: isFinal, isCompressed: isCompressed, payloadBytes: payload.byteCount))
      output.append(contentsOf: payload)
      return
    }
    let header = FrameHeader(
      isFinal: isFinal, reservedBits: isCompressed ? FrameHeader.compressedBit : 0, opcode: opcode, maskingKey: key,
      payloadBytes: payload.byteCount)
    output.append(header.encoded)
    let start = output.count
    output.append(contentsOf: payload)
    key.apply(to: &output, from: start, position: 0)
  }

  func append(_ opcode: Opcode, payload: [UInt8], to output: inout [UInt8]) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe append(opcode, payload: payload.span.bytes, to: &output)
  }

  /// The header of an unmasked frame, for a server that hands the payload to the socket by itself.
  @inline(__always)
  static func unmaskedHeader(
    _ opcode: Opcode, isFinal: Bool = true, isCompressed: Bool = false, payloadBytes: Int
  ) -> EncodedFrameHeader {
    FrameHeader(
      isFinal: isFinal, reservedBits: isCompressed ? FrameHeader.compressedBit : 0, opcode: opcode,
      payloadBytes: payloadBytes
    ).encoded
  }

  /// Appends a Close frame; a code that may not be sent gives an empty payload (RFC 6455 §5.5.1, §7.4.1).
  func appendClose(_ code: CloseCode, reason: String, to output: inout [UInt8]) {
    var payload: [UInt8] = []
    if code.mayBeSent {
      payload.append(UInt8(truncatingIfNeeded: code.rawValue >> 8))
      payload.append(UInt8(truncatingIfNeeded: code.rawValue))
      payload.append(contentsOf: Self.fitting(reason))
    }
    append(.close, payload: payload, to: &output)
  }

  /// As many whole characters of `reason` as a control frame has room for.
  private static func fitting(_ reason: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in reason.unicodeScalars {
      let encoded = UTF8.encode(scalar).map(Array.init) ?? []
      if bytes.count + encoded.count > 123 { break }
      bytes.append(contentsOf: encoded)
    }
    return bytes
  }
}
