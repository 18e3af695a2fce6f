/// Writes frames: a header in front of the payload, masked with a fresh key when a client sends (RFC 6455 §5.3).
public struct FrameEncoder {
  /// A client's source of masking keys, which must be unpredictable to others; `nil` for a server.
  private var keys: (any RandomNumberGenerator)?

  private init(keys: (any RandomNumberGenerator)?) {
    self.keys = keys
  }

  /// An encoder of unmasked frames.
  public static var server: FrameEncoder { FrameEncoder(keys: nil) }

  /// An encoder of masked frames.
  public static func client(keys: any RandomNumberGenerator) -> FrameEncoder { FrameEncoder(keys: keys) }

  /// Appends one frame.
  public mutating func append(
    _ opcode: Opcode, isFinal: Bool = true, payload: RawSpan, to output: inout [UInt8]
  ) {
    guard let word: UInt64 = keys?.next() else {
      output.append(Self.unmaskedHeader(opcode, isFinal: isFinal, payloadBytes: payload.byteCount))
      output.append(contentsOf: payload)
      return
    }
    let key = MaskingKey(word: UInt32(truncatingIfNeeded: word))
    let header = FrameHeader(isFinal: isFinal, opcode: opcode, maskingKey: key, payloadBytes: payload.byteCount)
    output.append(header.encoded)
    let start = output.count
    output.append(contentsOf: payload)
    key.apply(to: &output, from: start, position: 0)
  }

  mutating func append(_ opcode: Opcode, payload: [UInt8], to output: inout [UInt8]) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe append(opcode, payload: payload.span.bytes, to: &output)
  }

  /// The header of an unmasked frame, for a server that hands the payload to the socket by itself.
  static func unmaskedHeader(_ opcode: Opcode, isFinal: Bool = true, payloadBytes: Int) -> EncodedFrameHeader {
    FrameHeader(isFinal: isFinal, opcode: opcode, payloadBytes: payloadBytes).encoded
  }

  /// Appends a Close frame; a code that may not be sent gives an empty payload (RFC 6455 §5.5.1, §7.4.1).
  mutating func appendClose(_ code: CloseCode, reason: String, to output: inout [UInt8]) {
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
