import Testing
import WebSocketLoad

@Suite struct MaskedFramesTests {
  /// Reads one frame the slow way; what it says and how long it is.
  private func read(_ bytes: ArraySlice<UInt8>) throws -> (first: UInt8, payload: [UInt8], key: [UInt8], length: Int) {
    let bytes = Array(bytes)
    try #require(bytes[1] & 0x80 != 0, "a client masks")
    var header = 2
    var count = Int(bytes[1] & 0x7F)
    if count >= 126 {
      let octets = count == 126 ? 2 : 8
      count = bytes[2..<(2 + octets)].reduce(0) { $0 << 8 | Int($1) }
      header += octets
    }
    let key = Array(bytes[header..<(header + 4)])
    let masked = bytes[(header + 4)..<(header + 4 + count)]
    let payload = zip(masked, 0...).map { byte, index in byte ^ key[index % 4] }
    return (bytes[0], payload, key, header + 4 + count)
  }

  @Test(arguments: [
    (0, 6), (1, 6), (125, 6), (126, 8), (127, 8), (65_535, 8), (65_536, 14),
  ])
  func `a frame's length is written in its shortest form`(size: Int, header: Int) throws {
    let payload = LoadPayload.make(.binary, size: size, slot: 0)
    let frame = MaskedFrames.frame(opcode: 2, payload, key: 0x0102_0304)
    #expect(frame.count == header + size)
    let back = try read(frame[...])
    #expect(back.first == 0x82)
    #expect(back.payload == payload)
    #expect(back.key == [1, 2, 3, 4])
  }

  @Test(
    arguments: [
      (LoadPayload.Kind.binary, false, 0x82), (.binary, true, 0xC2), (.text, false, 0x81), (.text, true, 0xC1),
    ] as [(LoadPayload.Kind, Bool, UInt8)])
  func `kind and compression stand in the first byte`(kind: LoadPayload.Kind, isCompressed: Bool, first: UInt8) throws {
    let frames = MaskedFrames([[1, 2, 3]], kind: kind, isCompressed: isCompressed)
    #expect(try read(frames.bytes[...]).first == first)
  }

  @Test(arguments: [1, 2, 16])
  func `from any frame on, a whole round of frames is one range`(depth: Int) throws {
    // Of different lengths, as compressed ones are.
    let payloads = (0..<depth).map { LoadPayload.make(.binary, size: 100 + 13 * $0, slot: $0) }
    let frames = MaskedFrames(payloads, kind: .binary, isCompressed: false)
    #expect(frames.offsets.count == 2 * depth + 1)
    #expect(frames.offsets.last == frames.bytes.count)
    for first in 0..<depth {
      var at = frames.offsets[first]
      for slot in first..<(first + depth) {
        let frame = try read(frames.bytes[at...])
        #expect(frame.payload == payloads[slot % depth])
        at += frame.length
        #expect(at == frames.offsets[slot + 1])
      }
    }
  }

  @Test func `frames of one round have different masking keys`() throws {
    let frames = MaskedFrames([[UInt8]](repeating: [1], count: 8), kind: .binary, isCompressed: false)
    let keys = try (0..<8).map { try read(frames.bytes[frames.offsets[$0]...]).key }
    #expect(Set(keys).count == 8)
  }
}
