import Testing

@testable import WebSocketCore

@Suite struct DeflatePoolTests {
  private let hello = Array("Hello".utf8)

  @Test func `one context serves any number of messages, each as if it were the first`() throws {
    let pool = CompressionPool()
    for _ in 0..<10 {
      let deflater = try #require(pool.lendDeflater(windowBits: 15, memoryLevel: 8, level: 6))
      let inflater = try #require(pool.lendInflater(windowBits: 15))
      var payload: [UInt8] = []
      #expect(deflater.compress(hello.span.bytes, into: &payload, limit: 100))
      #expect(payload == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
      var output: [UInt8] = []
      try inflater.inflate(payload, pieces: 2, into: &output)
      #expect(output == hello)
      pool.takeBack(deflater)
      pool.takeBack(inflater)
    }
    #expect(pool.createdDeflaters == 1 && pool.createdInflaters == 1)
  }

  @Test func `a context comes back from the middle of a message, or from an error, as new`() throws {
    let pool = CompressionPool()
    let deflater = try #require(pool.lendDeflater(windowBits: 12, memoryLevel: 4, level: 1))
    let inflater = try #require(pool.lendInflater(windowBits: 12))
    var payload: [UInt8] = []
    deflater.append(hello.span.bytes, isLast: false, into: &payload)
    var output: [UInt8] = []
    let half: [UInt8] = [0xF2, 0x48, 0xCD]
    try inflater.inflate(half.span.bytes, isLast: false, into: &output, limit: Inflater.roomy)
    pool.takeBack(deflater)
    pool.takeBack(inflater)
    let broken = try #require(pool.lendInflater(windowBits: 12))
    #expect(throws: ProtocolError.compressedDataInvalid) { try broken.inflate([0x06], pieces: 1, into: &output) }
    pool.takeBack(broken)

    let again = try #require(pool.lendDeflater(windowBits: 12, memoryLevel: 4, level: 1))
    payload = []
    #expect(again.compress(hello.span.bytes, into: &payload, limit: 100))
    output = []
    let fresh = try #require(pool.lendInflater(windowBits: 12))
    try fresh.inflate(payload, pieces: 1, into: &output)
    #expect(output == hello)
    #expect(again === deflater && fresh === inflater && broken === inflater)
  }

  @Test func `contexts are kept apart by what they were made for`() throws {
    let pool = CompressionPool()
    let wanted = [(15, 8, 6), (12, 8, 6), (15, 7, 6), (15, 8, 5)]
    for _ in 0..<3 {
      let deflaters = try wanted.map {
        try #require(pool.lendDeflater(windowBits: $0.0, memoryLevel: $0.1, level: $0.2))
      }
      for (deflater, want) in zip(deflaters, wanted) {
        #expect((deflater.windowBits, deflater.memoryLevel, deflater.level) == want)
      }
      let inflaters = try [8, 15].map { try #require(pool.lendInflater(windowBits: $0)) }
      #expect(inflaters.map(\.windowBits) == [8, 15])
      deflaters.forEach(pool.takeBack)
      inflaters.forEach(pool.takeBack)
    }
    #expect(pool.createdDeflaters == wanted.count && pool.createdInflaters == 2)
  }

  @Test func `no more idle contexts are kept than the limit says`() throws {
    let pool = CompressionPool()
    let count = CompressionPool.maxIdle + 3
    for round in 1...2 {
      let deflaters = try (0..<count).map { _ in
        try #require(pool.lendDeflater(windowBits: 9, memoryLevel: 1, level: 1))
      }
      let inflaters = try (0..<count).map { _ in try #require(pool.lendInflater(windowBits: 9)) }
      #expect(pool.createdDeflaters == count + (round - 1) * 3)
      #expect(pool.createdInflaters == count + (round - 1) * 3)
      deflaters.forEach(pool.takeBack)
      inflaters.forEach(pool.takeBack)
    }
  }
}
