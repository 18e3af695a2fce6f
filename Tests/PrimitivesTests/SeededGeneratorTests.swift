import Primitives
import Testing

@Suite struct SeededGeneratorTests {
  @Test func `the sequence of a seed is SplitMix64's`() {
    var generator = SeededGenerator(seed: 1_234_567)
    let words = (0..<5).map { _ in generator.next() }
    #expect(
      words == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
      ])
  }

  @Test func `different seeds give different sequences`() {
    let firsts = (0..<UInt64(1000)).map { seed -> UInt64 in
      var generator = SeededGenerator(seed: seed)
      return generator.next()
    }
    #expect(Set(firsts).count == 1000)
  }

  @Test func `splits are repeatable and share no word with each other or their parent`() {
    func words() -> [UInt64] {
      var parent = SeededGenerator(seed: 7)
      var first = parent.split()
      var second = parent.split()
      return (0..<300).flatMap { _ in [parent.next(), first.next(), second.next()] }
    }
    #expect(words() == words())
    #expect(Set(words()).count == 900)
  }

  @Test func `draws from a split do not disturb the parent`() {
    var parent = SeededGenerator(seed: 7)
    var untouched = parent
    var child = parent.split()
    _ = untouched.split()
    for _ in 0..<10 { _ = child.next() }
    #expect(parent.next() == untouched.next())
  }

  @Test(arguments: [0, 1, UInt64.max, 42])
  func `every bit is set about half the time`(seed: UInt64) {
    var parent = SeededGenerator(seed: seed)
    var generator = parent.split()
    var counts = [Int](repeating: 0, count: 64)
    for _ in 0..<4096 {
      let word = generator.next()
      for bit in 0..<64 where word >> UInt64(bit) & 1 == 1 { counts[bit] += 1 }
    }
    // Seven standard deviations (32) around 2 048.
    #expect(counts.allSatisfy { abs($0 - 2048) < 7 * 32 })
  }
}
