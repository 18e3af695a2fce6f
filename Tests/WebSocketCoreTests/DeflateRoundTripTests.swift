import Glibc
import Testing

@testable import WebSocketCore

/// What one end compresses, the other inflates.
@Suite struct DeflateRoundTripTests {
  /// `LIFELINE_SEED` when a failure is to be replayed, else a fresh one.
  static func seed(of test: String) -> UInt64 {
    let replayed = getenv("LIFELINE_SEED").flatMap { UInt64(String(cString: $0)) }
    let seed = replayed ?? UInt64.random(in: 0...999_999_999)
    print("replay: LIFELINE_SEED=\(seed) swift test --filter \"\(test)\"")
    return seed
  }

  /// Bytes of mixed kinds: runs, words of a small vocabulary, and noise, so that every sort of block comes up.
  static func bytes(_ count: Int, using random: inout SplitMix) -> [UInt8] {
    let words = ["task", "state", "running", "completed", "{\"id\":", "},", "worker-000"].map { Array($0.utf8) }
    var bytes: [UInt8] = []
    while bytes.count < count {
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        bytes += [UInt8](repeating: .random(in: 0...255, using: &random), count: .random(in: 1...600, using: &random))
      case 1:
        bytes += (0..<Int.random(in: 1...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      default:
        for _ in 0..<Int.random(in: 1...60, using: &random) { bytes += words.randomElement(using: &random) ?? [] }
      }
    }
    return Array(bytes.prefix(count))
  }

  /// The message cut into at most `most` pieces, some of them empty.
  static func pieces(_ message: [UInt8], most: Int, using random: inout SplitMix) -> [[UInt8]] {
    var cuts = [0, message.count]
    for _ in 1..<Int.random(in: 1...most, using: &random) {
      cuts.append(.random(in: 0...message.count, using: &random))
    }
    cuts.sort()
    return zip(cuts, cuts.dropFirst()).map { Array(message[$0..<$1]) }
  }

  @Test(arguments: 9...15, [true, false])
  func `messages survive every window, with and without takeover, in random pieces`(
    windowBits: Int, takeover: Bool
  ) throws {
    let seed = Self.seed(of: "messages survive every window")
    var random = SplitMix(state: seed)
    for (level, memoryLevel) in [(1, 1), (6, 8), (9, 9)] {
      let deflater = try #require(Deflater(windowBits: windowBits, memoryLevel: memoryLevel, level: level))
      let inflater = try #require(Inflater(windowBits: windowBits))
      for round in 0..<25 {
        let count = [0, 1, 20, 256, 1024, 40_000, 200_000].randomElement(using: &random) ?? 0
        let message = Self.bytes(count, using: &random)
        var compressed: [UInt8] = [0xAA]
        if Bool.random(using: &random) {
          try #require(deflater.compress(message.span.bytes, into: &compressed, limit: .max), "seed \(seed)")
        } else {
          let pieces = Self.pieces(message, most: 5, using: &random)
          for (index, piece) in pieces.enumerated() {
            deflater.append(piece.span.bytes, isLast: index == pieces.count - 1, into: &compressed)
          }
        }
        try #require(compressed.first == 0xAA && compressed.count >= 2, "seed \(seed) round \(round)")
        if !takeover { deflater.reset() }
        compressed.removeFirst()

        var output: [UInt8] = []
        let pieces = Self.pieces(compressed, most: 5, using: &random)
        for (index, piece) in pieces.enumerated() {
          try inflater.inflate(
            piece.span.bytes, isLast: index == pieces.count - 1, into: &output, limit: Inflater.roomy)
        }
        try #require(output == message, "seed \(seed) round \(round) level \(level)")
        if !takeover { inflater.reset() }
      }
    }
  }

  @Test func `takeover makes a repeated message small`() throws {
    var random = SplitMix(state: 1)
    let message = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) }
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 8, level: 6))
    var output: [UInt8] = []
    #expect(!deflater.compress(message.span.bytes, into: &output, limit: message.count - 1))
    deflater.reset()
    #expect(deflater.compress(message.span.bytes, into: &output, limit: 2000))
    output = []
    #expect(deflater.compress(message.span.bytes, into: &output, limit: 40))
    deflater.reset()
    #expect(!deflater.compress(message.span.bytes, into: &output, limit: message.count - 1))
  }

  @Test func `a message that does not shrink is refused and leaves no trace`() throws {
    var random = SplitMix(state: 2)
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 8, level: 6))
    let inflater = try #require(Inflater(windowBits: 15))
    for count in [1, 5, 300, 5_000, 70_000, 1_000_000] {
      let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      var output: [UInt8] = [1, 2, 3]
      #expect(!deflater.compress(noise.span.bytes, into: &output, limit: count - 1))
      #expect(output == [1, 2, 3])
      deflater.reset()
      // The peer, whose window does not know of the reset, inflates what follows.
      let text = Self.bytes(1000, using: &random)
      output = []
      #expect(deflater.compress(text.span.bytes, into: &output, limit: 999))
      var inflated: [UInt8] = []
      try inflater.inflate(output, pieces: .max, into: &inflated)
      #expect(inflated == text)
    }
  }

  @Test(arguments: [20, 1000, 16_383, 16_384, 16_385, 100_000])
  func `the limit is exact`(count: Int) throws {
    var random = SplitMix(state: UInt64(count))
    let message = Self.bytes(count, using: &random)
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 8, level: 6))
    var output: [UInt8] = []
    #expect(deflater.compress(message.span.bytes, into: &output, limit: .max))
    let best = output
    for limit in [best.count, best.count + 1, best.count + 3, best.count + 7] {
      deflater.reset()
      output = []
      #expect(deflater.compress(message.span.bytes, into: &output, limit: limit))
      #expect(output == best)
    }
    for limit in [best.count - 1, best.count - 2, best.count - 5, 1, 0, -1] {
      deflater.reset()
      output = []
      #expect(!deflater.compress(message.span.bytes, into: &output, limit: limit))
      #expect(output.isEmpty)
    }
  }

  @Test func `an empty message is one zero byte, however often and however given`() throws {
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 8, level: 6))
    let inflater = try #require(Inflater(windowBits: 15))
    let empty: [UInt8] = []
    for round in 0..<6 {
      var output: [UInt8] = []
      if round % 2 == 0 {
        #expect(deflater.compress(empty.span.bytes, into: &output, limit: 1))
      } else {
        deflater.append(empty.span.bytes, isLast: false, into: &output)
        deflater.append(empty.span.bytes, isLast: true, into: &output)
      }
      #expect(output == [0])
      var inflated: [UInt8] = []
      try inflater.inflate(output, pieces: .max, into: &inflated)
      #expect(inflated.isEmpty)
    }
  }

  @Test func `reused memory does not grow from message to message`() throws {
    var random = SplitMix(state: 3)
    let message = Self.bytes(1024, using: &random)
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 8, level: 6))
    let inflater = try #require(Inflater(windowBits: 15))
    var compressed: [UInt8] = []
    var inflated: [UInt8] = []
    var capacities: Set<[Int]> = []
    for _ in 0..<50 {
      compressed.removeAll(keepingCapacity: true)
      inflated.removeAll(keepingCapacity: true)
      try #require(deflater.compress(message.span.bytes, into: &compressed, limit: message.count - 1))
      deflater.reset()
      try inflater.inflate(compressed.span.bytes, isLast: true, into: &inflated, limit: Inflater.roomy)
      try #require(inflated == message)
      capacities.insert([compressed.capacity, inflated.capacity])
    }
    #expect(capacities.count == 1)
  }

  @Test func `a sender can tell what a receiver like it would refuse`() throws {
    var configuration = CompressionConfiguration()
    configuration.maxInflationRatio = 100
    let deflater = try #require(Deflater(windowBits: 15, memoryLevel: 8, level: 6))
    for count in [65_536, 65_537, 1 << 20] {
      deflater.reset()
      let zeros = [UInt8](repeating: 0, count: count)
      var compressed: [UInt8] = []
      try #require(deflater.compress(zeros.span.bytes, into: &compressed, limit: count))
      let inflater = try #require(Inflater(windowBits: 15))
      var inflated: [UInt8] = []
      var isTaken = true
      do {
        try inflater.inflate(
          compressed, pieces: .max, into: &inflated, limit: .init(bytes: .max, ratio: configuration.maxInflationRatio))
      } catch { isTaken = false }
      #expect(isTaken == configuration.allowsInflating(compressed.count, to: count))
      #expect(isTaken == (count == 65_536))
    }
    #expect(configuration.allowsInflating(.max, to: .max))
  }
}
