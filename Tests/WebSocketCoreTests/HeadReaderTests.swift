import Testing

@testable import WebSocketCore

@Suite struct HeadReaderTests {
  @Test(arguments: [1, 3, 100, 5_000]) func `a head that comes in pieces holds no more than its limit`(
    pieceBytes: Int
  ) throws {
    let limit = 16 * 1024
    var reader = HeadReader(limit: limit)
    var left = limit - 1
    while left > 0 {
      let piece = [UInt8](repeating: UInt8(ascii: "x"), count: min(pieceBytes, left))
      var offset = 0
      let isComplete = try reader.take(piece.span.bytes, from: &offset)
      #expect(!isComplete && offset == piece.count)
      left -= piece.count
      // What an allocator rounds up to is not ours.
      #expect(reader.bytes.capacity <= limit + 64)
    }
    #expect(reader.bytes.count == limit - 1)
  }

  @Test func `a few bytes hold little`() throws {
    var reader = HeadReader(limit: 16 * 1024)
    for byte in Array("GET / HTTP".utf8) {
      var offset = 0
      _ = try reader.take([byte].span.bytes, from: &offset)
    }
    #expect(reader.bytes.capacity <= 128)
  }
}
