import Testing

@testable import WebSocketLoad

@Suite struct LoadPayloadTests {
  @Test(arguments: [LoadPayload.Kind.binary, .text], [0, 1, 20, 1024, 65_536])
  func `a payload has exactly the size asked for, and is the same each time`(kind: LoadPayload.Kind, size: Int) {
    let payload = LoadPayload.make(kind, size: size, slot: 3)
    #expect(payload.count == size)
    #expect(payload == LoadPayload.make(kind, size: size, slot: 3))
  }

  @Test(arguments: [LoadPayload.Kind.binary, .text])
  func `each slot has a payload of its own`(kind: LoadPayload.Kind) {
    #expect(Set((0..<16).map { LoadPayload.make(kind, size: 1024, slot: $0) }).count == 16)
  }

  @Test func `text is printable ASCII and reads as JSON begins`() {
    let text = LoadPayload.make(.text, size: 1024, slot: 0)
    #expect(text.allSatisfy { (0x20...0x7E).contains($0) })
    #expect(text.starts(with: Array("{\"type\":\"state_update\"".utf8)))
  }

  @Test func `text shrinks when compressed, and is the same when decompressed`() throws {
    let text = LoadPayload.make(.text, size: 1024, slot: 0)
    let compressed = try RawDeflate.compress(text, windowBits: 15)
    #expect(compressed.count < text.count / 2)
    #expect(try Inflater(keepsContext: false, limit: 1024).check(compressed, is: text))
  }

  @Test(arguments: [9, 10, 15] as [Int32])
  func `a compressed message stands alone, with every window`(windowBits: Int32) throws {
    let inflater = try Inflater(keepsContext: false, limit: 1024)
    for slot in 0..<4 {
      let text = LoadPayload.make(.text, size: 1024, slot: slot)
      #expect(inflater.check(try RawDeflate.compress(text, windowBits: windowBits), is: text))
    }
  }

  @Test func `a message that decompresses to something else, to more, or to nothing is noticed`() throws {
    let text = LoadPayload.make(.text, size: 1024, slot: 0)
    let compressed = try RawDeflate.compress(text, windowBits: 15)
    let inflater = try Inflater(keepsContext: false, limit: 1024)
    #expect(!inflater.check(compressed, is: LoadPayload.make(.text, size: 1024, slot: 1)))
    #expect(!inflater.check(compressed, is: Array(text.dropLast())))
    #expect(!inflater.check(Array(compressed.dropLast(20)), is: text))
    #expect(!inflater.check([0xFF, 0xFF, 0xFF], is: text))
  }
}
