import Testing

@testable import WebSocketCore

/// The examples of RFC 7692 §7.2.3, byte for byte.
@Suite struct DeflateVectorTests {
  private static let hello = Array("Hello".utf8)

  struct Vector: CustomTestStringConvertible {
    let what: String
    let messages: [[UInt8]]
    let text: String
    var testDescription: String { what }
  }

  @Test(
    arguments: [
      Vector(
        what: "§7.2.3.1 one block", messages: [[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]], text: "Hello"),
      Vector(
        what: "§7.2.3.2 with the window of the message before",
        messages: [[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], [0xF2, 0x00, 0x11, 0x00, 0x00]], text: "HelloHello"),
      Vector(
        what: "§7.2.3.3 a block without compression",
        messages: [[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]], text: "Hello"),
      Vector(
        what: "§7.2.3.4 a final block", messages: [[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]], text: "Hello"),
      Vector(
        what: "§7.2.3.5 two blocks in one message",
        messages: [[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]], text: "Hello"),
      Vector(what: "§7.2.3.6 an empty fragment", messages: [[0x00]], text: ""),
    ])
  func `an example of the specification inflates, whole and byte by byte`(_ vector: Vector) throws {
    for size in [Int.max, 1, 2, 3] {
      let inflater = try #require(Inflater(windowBits: 15))
      var output: [UInt8] = []
      for message in vector.messages {
        try inflater.inflate(message, pieces: size, into: &output)
      }
      #expect(String(decoding: output, as: UTF8.self) == vector.text)
    }
  }

  @Test func `a message compresses to the bytes of the specification's example`() throws {
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 8, level: 6))
    var output: [UInt8] = []
    #expect(deflater.compress(Self.hello.span.bytes, into: &output, limit: 100))
    #expect(output == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    output = []
    #expect(deflater.compress(Self.hello.span.bytes, into: &output, limit: 100))
    #expect(output == [0xF2, 0x00, 0x11, 0x00, 0x00])
    deflater.reset()
    output = [1, 2]
    #expect(deflater.compress(Self.hello.span.bytes, into: &output, limit: 100))
    #expect(output == [1, 2, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
  }
}

extension Inflater {
  static let roomy = Limit(bytes: 64 << 20, ratio: 2000)

  /// Inflates one message given in pieces of this size.
  func inflate(
    _ message: [UInt8], pieces size: Int, into output: inout [UInt8], limit: Limit = roomy
  ) throws(ProtocolError) {
    var start = 0
    repeat {
      let end = start + min(size, message.count - start)
      let piece = Array(message[start..<end])
      try inflate(piece.span.bytes, isLast: end == message.count, into: &output, limit: limit)
      start = end
    } while start < message.count
  }
}
