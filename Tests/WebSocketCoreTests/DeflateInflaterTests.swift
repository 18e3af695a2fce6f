import Testing

@testable import WebSocketCore

/// What a peer may send instead of well-made deflate data, and how far it gets.
@Suite struct DeflateInflaterTests {
  private static let helloPayload: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
  /// The second example of §7.2.3.2: "Hello" by reference to the message before.
  private static let helloAgain: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]

  private static func compressed(_ message: [UInt8], memoryLevel: Int = 8) throws -> [UInt8] {
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: memoryLevel, level: 6))
    var output: [UInt8] = []
    try #require(deflater.compress(message.span.bytes, into: &output, limit: .max))
    return output
  }

  /// What becomes of one message: its bytes, or the error.
  private static func inflated(
    _ message: [UInt8], pieces: Int = .max, windowBits: Int = 15, limit: Inflater.Limit = Inflater.roomy
  ) throws -> (output: [UInt8], error: ProtocolError?) {
    let inflater = try #require(Inflater(windowBits: windowBits))
    var output: [UInt8] = []
    do throws(ProtocolError) {
      try inflater.inflate(message, pieces: pieces, into: &output, limit: limit)
      return (output, nil)
    } catch {
      return (output, error)
    }
  }

  // MARK: Final blocks

  @Test(arguments: 8...15) func `a final block ends neither the message nor the window`(windowBits: Int) throws {
    for size in [Int.max, 1] {
      let inflater = try #require(Inflater(windowBits: windowBits))
      var output: [UInt8] = []
      try inflater.inflate([0xF3] + Self.helloPayload.dropFirst() + [0x00], pieces: size, into: &output)
      // The same reference as without a final block, itself in a final block, and once more in a plain one.
      try inflater.inflate([0xF3] + Self.helloAgain.dropFirst(), pieces: size, into: &output)
      try inflater.inflate(Self.helloAgain, pieces: size, into: &output)
      #expect(String(decoding: output, as: UTF8.self) == "HelloHelloHello")
    }
  }

  @Test func `blocks go on behind a final one in the same message`() throws {
    let final = [0xF3] + Self.helloPayload.dropFirst()
    for size in [Int.max, 1, 2, 5] {
      let (output, error) = try Self.inflated(final + final + Self.helloPayload, pieces: size)
      #expect(error == nil)
      #expect(String(decoding: output, as: UTF8.self) == "HelloHelloHello")
    }
  }

  @Test func `a great many empty final blocks are only as much work as they are bytes`() throws {
    let blocks = [UInt8]((0..<100_000).flatMap { _ in [0x03, 0x00] as [UInt8] })
    let (output, error) = try Self.inflated(blocks + [0x00])
    #expect(output.isEmpty && error == nil)
  }

  @Test(
    arguments: [
      ("a final block with nothing behind it", [0xF3] + helloPayload.dropFirst()),
      ("a tail that was left on", helloPayload + [0x00, 0x00, 0xFF, 0xFF]),
    ])
  func `a message that is whole without its tail is taken as it is`(what: String, payload: [UInt8]) throws {
    for size in [Int.max, 1, 3] {
      let inflater = try #require(Inflater(windowBits: 15))
      var output: [UInt8] = []
      try inflater.inflate(payload, pieces: size, into: &output)
      try inflater.inflate(Self.helloAgain, pieces: size, into: &output)
      #expect(String(decoding: output, as: UTF8.self) == "HelloHello", "\(what)")
    }
  }

  @Test func `no data at all is an empty message`() throws {
    let inflater = try #require(Inflater(windowBits: 15))
    var output: [UInt8] = []
    for payload in [[], Self.helloPayload, [], Self.helloAgain] as [[UInt8]] {
      try inflater.inflate(payload, pieces: .max, into: &output)
    }
    #expect(String(decoding: output, as: UTF8.self) == "HelloHello")
  }

  // MARK: Bad data

  @Test(
    arguments: [
      ("a reserved block type", [0x06]),
      ("a stored length that does not match its complement", [0x00, 0x05, 0x00, 0x05, 0x00, 0x48]),
      ("a reference before the beginning", helloAgain),
      ("a code that is not in use", [0x1A, 0x03]),
      ("a dynamic block with too many codes", [0xFC, 0xFF, 0xFF, 0xFF]),
    ] as [(String, [UInt8])])
  func `what is no deflate data is invalid, whole and byte by byte`(what: String, payload: [UInt8]) throws {
    for size in [Int.max, 1] {
      let (_, error) = try Self.inflated(payload, pieces: size)
      #expect(error == .compressedDataInvalid, "\(what)")
      // Behind a good message and a reset it is no better.
      let inflater = try #require(Inflater(windowBits: 15))
      var output: [UInt8] = []
      try inflater.inflate(Self.helloPayload, pieces: size, into: &output)
      inflater.reset()
      #expect(throws: ProtocolError.compressedDataInvalid) {
        try inflater.inflate(payload, pieces: size, into: &output)
      }
      inflater.reset()
      try inflater.inflate(Self.helloPayload, pieces: size, into: &output)
    }
  }

  @Test(arguments: [1, 5, .max]) func `a message is too long whatever follows the byte too many`(
    pieces: Int
  ) throws {
    // Five bytes, and a block of a kind that does not exist.
    let payload: [UInt8] = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x06]
    for (bytes, expected) in [
      (4, ProtocolError.inflatedTooLong(limit: 4)), (5, .compressedDataInvalid), (6, .compressedDataInvalid),
    ] {
      let (_, error) = try Self.inflated(payload, pieces: pieces, limit: Inflater.Limit(bytes: bytes, ratio: 1))
      #expect(error == expected)
    }
    // In steps that end with the last byte, what is good is given before what is bad is found.
    let inflater = try #require(Inflater(windowBits: 15))
    var (output, offset): ([UInt8], Int) = ([], 0)
    let progress = try inflater.step(
      payload.span.bytes, from: &offset, isLast: true, into: &output, maxBytes: 5, limit: Inflater.roomy)
    #expect(progress == .more && output == Array("Hello".utf8))
    #expect(throws: ProtocolError.compressedDataInvalid) {
      try inflater.step(
        payload.span.bytes, from: &offset, isLast: true, into: &output, maxBytes: 5, limit: Inflater.roomy)
    }
  }

  @Test func `a message cut anywhere is truncated`() throws {
    var random = SplitMix(state: 7)
    let text = DeflateRoundTripTests.bytes(3000, using: &random)
    let stored: [UInt8] = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]
    let final = [0xF3] + Self.helloPayload.dropFirst()
    for payload in [Self.helloPayload, final, stored, try Self.compressed(text)] {
      for count in 1..<payload.count {
        let cut = Array(payload.prefix(count))
        // After one byte of it, this is an empty message; after ten, its block is complete.
        if payload == stored, count == 1 || count == 10 { continue }
        for size in [Int.max, 1] {
          let (_, error) = try Self.inflated(cut, pieces: size)
          try #require(error == .compressedDataTruncated, "after \(count) bytes of \(payload.count)")
        }
      }
    }
  }

  @Test func `an inflater's errors have their close codes, clauses and a reason that fits`() {
    let errors: [(ProtocolError, CloseCode)] = [
      (.compressedDataInvalid, .invalidPayload), (.compressedDataTruncated, .invalidPayload),
      (.inflatedTooLong(limit: .max), .messageTooBig), (.inflationRatioExceeded(limit: .max), .messageTooBig),
    ]
    for (error, code) in errors {
      #expect(error.closeCode == code)
      #expect(error.summary.utf8.count <= 123)
      #expect(error.description.contains("RFC 7692 §"))
    }
  }

  // MARK: Bombs

  @Test(arguments: [Int.max, 1, 100]) func `a bomb is found at the limit, in bounded memory`(pieces: Int) throws {
    let bomb = try Self.compressed([UInt8](repeating: 0, count: 10_000_000))
    #expect(bomb.count < 11_000)
    for bytes in [0, 1, 1000, 65_536, 1 << 20, 9_999_999] {
      let inflater = try #require(Inflater(windowBits: 15))
      var output: [UInt8] = []
      #expect(throws: ProtocolError.inflatedTooLong(limit: bytes)) {
        try inflater.inflate(bomb, pieces: pieces, into: &output, limit: .init(bytes: bytes, ratio: 2000))
      }
      #expect(output.count == bytes + 1)
      #expect(output.capacity <= bytes + 4096)
    }
    let (output, error) = try Self.inflated(bomb, pieces: pieces, limit: .init(bytes: 10_000_000, ratio: 2000))
    #expect(error == nil && output.count == 10_000_000)
  }

  @Test func `a bomb is found by its ratio, however small its pieces`() throws {
    let bomb = try Self.compressed([UInt8](repeating: 0, count: 10_000_000))
    for pieces in [Int.max, 1, 100] {
      for ratio in [1, 10, 256, 900] {
        let (output, error) = try Self.inflated(bomb, pieces: pieces, limit: .init(bytes: .max, ratio: ratio))
        #expect(error == .inflationRatioExceeded(limit: ratio))
        #expect(output.count <= max(65_536, ratio * bomb.count) + 1)
      }
    }
  }

  @Test func `up to 64 KiB any ratio will do`() throws {
    let zeros = try Self.compressed([UInt8](repeating: 0, count: 65_536))
    for pieces in [Int.max, 1] {
      let (output, error) = try Self.inflated(zeros, pieces: pieces, limit: .init(bytes: .max, ratio: 1))
      #expect(output.count == 65_536 && error == nil)
    }
  }

  @Test func `limits are for each message`() throws {
    let inflater = try #require(Inflater(windowBits: 15))
    for _ in 0..<20 {
      var output: [UInt8] = []
      try inflater.inflate(Self.helloPayload, pieces: 1, into: &output, limit: .init(bytes: 5, ratio: 1))
    }
  }

  // MARK: Steps

  @Test(arguments: [1, 2, 7, 258, 4096, 1 << 20], [Int.max, 1, 13, 1000])
  func `steps give the same bytes, never more than asked for`(maxBytes: Int, pieces size: Int) throws {
    var random = SplitMix(state: 9)
    let inflater = try #require(Inflater(windowBits: 15))
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 2, level: 6))
    for count in [0, 1, 2, 1000, 20_000] {
      let message = DeflateRoundTripTests.bytes(count, using: &random)
      var payload: [UInt8] = []
      try #require(deflater.compress(message.span.bytes, into: &payload, limit: .max))
      var all: [UInt8] = []
      var start = 0
      var finished = 0
      while start < payload.count {
        let end = start + min(size, payload.count - start)
        let piece = Array(payload[start..<end])
        var offset = 0
        var progress = Inflater.Progress.more
        while progress == .more {
          var output: [UInt8] = []
          progress = try inflater.step(
            piece.span.bytes, from: &offset, isLast: end == payload.count, into: &output, maxBytes: maxBytes,
            limit: Inflater.roomy)
          try #require(output.count <= maxBytes)
          all += output
        }
        #expect(offset == piece.count)
        #expect(progress == (end == payload.count ? .finished : .needsInput))
        if progress == .finished { finished += 1 }
        start = end
      }
      #expect(all == message && finished == 1)
    }
  }

  @Test(arguments: 1...64) func `a step that just fills its room loses nothing of how the message ends`(room: Int)
    throws
  {
    let hello = Array("Hello".utf8)
    let rows: [(payload: [UInt8], message: [UInt8])] = [
      (Self.helloPayload, hello), ([0xF3] + Self.helloPayload.dropFirst(), hello),
      (Self.helloPayload + [0x00, 0x00, 0xFF, 0xFF], hello),
      // A final block whose end lies in the byte that its last literal ends in: used up before it is understood.
      ([0x9B, 0xB0, 0x70, 0xD3, 0xE1, 0x2B, 0x4F, 0x01], [0x90, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5]),
    ]
    for (payload, message) in rows {
      let inflater = try #require(Inflater(windowBits: 15))
      for _ in 0..<3 {
        var output: [UInt8] = []
        var offset = 0
        while try inflater.step(
          payload.span.bytes, from: &offset, isLast: true, into: &output, maxBytes: room, limit: Inflater.roomy)
          == .more
        {}
        #expect(output == message)
      }
    }
  }

  // MARK: Anything

  @Test func `random and damaged data end in a documented error or not at all, however they are cut`() throws {
    let seed = DeflateRoundTripTests.seed(of: "random and damaged data")
    var random = SplitMix(state: seed)
    let limit = Inflater.Limit(bytes: 100_000, ratio: 300)
    for round in 0..<600 {
      var payload: [UInt8]
      if round % 3 == 0 {
        payload = (0..<Int.random(in: 1...200, using: &random)).map { _ in .random(in: 0...255, using: &random) }
      } else {
        payload = try Self.compressed(
          DeflateRoundTripTests.bytes(.random(in: 1...5000, using: &random), using: &random),
          memoryLevel: .random(in: 1...9, using: &random))
        for _ in 0..<Int.random(in: 0...3, using: &random) {
          payload[Int.random(in: 0..<payload.count, using: &random)] = .random(in: 0...255, using: &random)
        }
      }
      let whole = try Self.inflated(payload, limit: limit)
      let cut = try Self.inflated(payload, pieces: .random(in: 1...50, using: &random), limit: limit)
      try #require(whole.output.count <= limit.bytes + 1, "seed \(seed) round \(round)")
      try #require(whole.output.capacity <= limit.bytes + 4096, "seed \(seed) round \(round)")
      switch whole.error {
      case nil, .compressedDataInvalid, .compressedDataTruncated, .inflatedTooLong: break
      // The ratio is judged by what came so far, so small pieces may find it earlier.
      case .inflationRatioExceeded: continue
      default: Issue.record("seed \(seed) round \(round): \(String(describing: whole.error))")
      }
      if cut.error == .inflationRatioExceeded(limit: 300) { continue }
      try #require(whole.error == cut.error, "seed \(seed) round \(round)")
      if whole.error == nil { try #require(whole.output == cut.output, "seed \(seed) round \(round)") }
    }
  }
}
