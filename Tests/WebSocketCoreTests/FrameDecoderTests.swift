import Testing

@testable import WebSocketCore

@Suite struct FrameDecoderTests {
  /// What the decoder makes of the bytes, cut into reads of `size`: whole frames, and the error that ended it.
  private func decode(
    _ bytes: [UInt8], as role: Role, size: Int, maxFrameBytes: Int = 1 << 20, extensions: Extensions = .none
  ) -> (frames: [Frame], error: ProtocolError?) {
    var decoder = FrameDecoder(role: role, extensions: extensions, maxFrameBytes: maxFrameBytes)
    var frames: [Frame] = []
    var payload: [UInt8] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      var chunk = Array(rest.prefix(size))
      rest = rest.dropFirst(size)
      var span = chunk.mutableSpan
      var raw = span.mutableBytes
      var offset = 0
      do throws(ProtocolError) {
        while let piece = try decoder.next(in: &raw, from: &offset) {
          if piece.isFirst { payload = [] }
          #expect(piece.position == payload.count)
          payload += piece.payload.map { raw.bytes.byte(at: $0) }
          if piece.isLast { frames.append(Frame(piece.header.opcode, payload, isFinal: piece.header.isFinal)) }
        }
        #expect(offset == raw.byteCount)
      } catch {
        return (frames, error)
      }
    }
    return (frames, nil)
  }

  @Test(arguments: [0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537], Role.both)
  func `a frame of every length form is read whole, in small reads and with a frame behind it`(
    count: Int, role: Role
  ) {
    let frame = Frame(.binary, (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    let bytes = frame.bytes(from: role.peer)
    let follower = Frame(.ping, [1, 2, 3])
    for size in [bytes.count, 1, 2, 3, 7, 13, 14, 15, 4096] {
      let (frames, error) = decode(bytes, as: role, size: size)
      #expect(frames == [frame])
      #expect(error == nil)
      let (both, secondError) = decode(bytes + follower.bytes(from: role.peer), as: role, size: size + 1)
      #expect(both == [frame, follower])
      #expect(secondError == nil)
    }
  }

  @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536], Role.both)
  func `what the encoder writes is what the specification's layout gives`(count: Int, role: Role) throws {
    let frame = Frame(.text, Array(repeating: 0x61, count: count))
    var output: [UInt8] = []
    let encoder = role == .client ? FrameEncoder.client(keys: SplitMix(state: 5)) : .server
    encoder.append(.text, payload: frame.payload, to: &output)
    switch role {
    case .server: #expect(output == frame.bytes(from: .server))
    case .client:
      let headerBytes = count < 126 ? 2 : count < 65_536 ? 4 : 10
      let key = Array(output[headerBytes..<(headerBytes + 4)])
      #expect(output == frame.bytes(from: .client, key: key))
    }
  }

  @Test func `each masked frame has a key of its own`() {
    let encoder = FrameEncoder.client(keys: SplitMix(state: 5))
    var first: [UInt8] = []
    var second: [UInt8] = []
    encoder.append(.binary, payload: [1], to: &first)
    encoder.append(.binary, payload: [1], to: &second)
    #expect(first[2..<6] != second[2..<6])
  }

  struct Bad: CustomTestStringConvertible {
    let what: String
    let bytes: [UInt8]
    var role = Role.server
    let error: ProtocolError
    var testDescription: String { what }
  }

  static let badHeaders: [Bad] = [
    Bad(what: "RSV1", bytes: [0xC1, 0x80], error: .reservedBits(bits: 0x40)),
    Bad(what: "RSV2", bytes: [0xA1, 0x80], error: .reservedBits(bits: 0x20)),
    Bad(what: "RSV3", bytes: [0x91, 0x80], error: .reservedBits(bits: 0x10)),
    Bad(what: "all three reserved bits", bytes: [0xF1, 0x80], error: .reservedBits(bits: 0x70)),
    Bad(what: "opcode 3", bytes: [0x83, 0x80], error: .unknownOpcode(3)),
    Bad(what: "opcode 7", bytes: [0x87, 0x80], error: .unknownOpcode(7)),
    Bad(what: "opcode 11", bytes: [0x8B, 0x80], error: .unknownOpcode(11)),
    Bad(what: "opcode 15", bytes: [0x8F, 0x80], error: .unknownOpcode(15)),
    Bad(what: "a client without a mask", bytes: [0x81, 0x00], error: .maskMissing),
    Bad(what: "a server with a mask", bytes: [0x81, 0x80], role: .client, error: .maskUnexpected),
    Bad(what: "a fragmented ping", bytes: [0x09, 0x80], error: .fragmentedControlFrame(.ping)),
    Bad(what: "a fragmented close", bytes: [0x08, 0x80], error: .fragmentedControlFrame(.close)),
    Bad(what: "a ping of 126", bytes: [0x89, 0xFE], error: .controlFrameTooLong(.ping, length: 126)),
    Bad(what: "a pong of 127", bytes: [0x8A, 0xFF], error: .controlFrameTooLong(.pong, length: 127)),
    Bad(
      what: "125 in two bytes", bytes: [0x82, 0xFE, 0x00, 0x7D, 1, 2, 3, 4], error: .lengthNotMinimal(length: 125)),
    Bad(
      what: "65 535 in eight bytes", bytes: [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4],
      error: .lengthNotMinimal(length: 65_535)),
    Bad(
      what: "a length with the top bit", bytes: [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
      error: .lengthTopBitSet),
    Bad(
      what: "the longest length there is",
      bytes: [0x82, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 7) + [1, 2, 3, 4],
      error: .frameTooLong(length: UInt64(Int64.max), limit: 1 << 20)),
    Bad(
      what: "one byte over the limit", bytes: [0x82, 0x7F, 0, 0, 0, 0, 0, 0x10, 0, 1], role: .client,
      error: .frameTooLong(length: 1 << 20 + 1, limit: 1 << 20)),
  ]

  @Test(arguments: badHeaders) func `a broken header is named, whole and byte by byte`(bad: Bad) {
    let good = Frame(.text, Array("before".utf8))
    for size in [100, 1] {
      let (frames, error) = decode(good.bytes(from: bad.role.peer) + bad.bytes, as: bad.role, size: size)
      #expect(frames == [good])
      #expect(error == bad.error)
    }
  }

  @Test func `a frame of exactly the limit is read`() {
    let frame = Frame(.binary, Array(repeating: 1, count: 300))
    #expect(decode(frame.bytes(from: .client), as: .server, size: 64, maxFrameBytes: 300).frames == [frame])
    #expect(
      decode(frame.bytes(from: .client), as: .server, size: 64, maxFrameBytes: 299).error
        == .frameTooLong(length: 300, limit: 299))
  }

  @Test(arguments: 0..<4)
  func `masking by blocks gives what masking byte by byte gives`(position: Int) {
    let key: [UInt8] = [0x12, 0x34, 0x56, 0x78]
    for count in Array(0...20) + [63, 64, 65, 127, 128, 129, 200] {
      for margin in 0..<9 {
        var bytes = (0..<(margin + count + 3)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var expected = bytes
        for index in 0..<count { expected[margin + index] ^= key[(index + position) % 4] }
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        MaskingKey(key[0], key[1], key[2], key[3]).apply(to: &raw, in: margin..<(margin + count), position: position)
        #expect(bytes == expected)
      }
    }
  }
}
