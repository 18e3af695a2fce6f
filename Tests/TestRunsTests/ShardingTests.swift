import Primitives
import TestRuns
import Testing

extension TestRunsTests {
  @Suite struct ShardingTests {
    private func seconds(_ values: [String: Int]) -> [String: Duration] { values.mapValues { .seconds($0) } }

    @Test func `the longest goes first, and what is unknown counts as the median`() {
      let sharding = Sharding(["a", "b", "new", "c"], into: 0, durations: seconds(["a": 1, "b": 9, "c": 4]))
      #expect(sharding.shards.map(\.tests) == [["b"], ["new"], ["c"], ["a"]])
      #expect(sharding.shards.map(\.predicted) == [.seconds(9), .seconds(4), .seconds(4), .seconds(1)])
      #expect(sharding.predicted == .seconds(18))
    }

    @Test func `shards take about equally long`() {
      let known = seconds(["a": 8, "b": 7, "c": 6, "d": 5, "e": 4])
      let sharding = Sharding(["a", "b", "c", "d", "e"], into: 2, durations: known)
      #expect(sharding.shards.map(\.tests) == [["a", "d", "e"], ["b", "c"]])
      #expect(sharding.shards.map(\.predicted) == [.seconds(17), .seconds(13)])
    }

    @Test func `without a past the tests keep their order and are dealt out in turn`() {
      let sharding = Sharding(["a", "b", "c", "d", "e"], into: 2, durations: [:])
      #expect(sharding.shards.map(\.tests) == [["a", "c", "e"], ["b", "d"]])
    }

    @Test(arguments: [0, 3, 4, 100])
    func `as many shards as tests, or none wanted, is a task for each`(_ count: Int) {
      #expect(Sharding(["a", "b", "c"], into: count, durations: [:]).shards.map(\.tests) == [["a"], ["b"], ["c"]])
    }

    @Test func `no tests are no shards`() { #expect(Sharding([], into: 4, durations: [:]).shards.isEmpty) }

    @Test func `every test is in one shard, and none is much longer than it must be`() {
      var random = SeededGenerator(seed: 11)
      for _ in 0..<50 {
        let tests = (0..<Int.random(in: 1...200, using: &random)).map { "t\($0)" }
        let known = Dictionary(
          uniqueKeysWithValues: tests.map { ($0, Duration.milliseconds(Int.random(in: 1...9_000, using: &random))) })
        let count = Int.random(in: 1...20, using: &random)
        let shards = Sharding(tests, into: count, durations: known).shards
        #expect(shards.flatMap(\.tests).sorted() == tests.sorted())
        #expect(shards.count == min(count, tests.count))
        let total = known.values.reduce(Duration.zero, +)
        let bound = max(total / shards.count, known.values.max() ?? Duration.zero)
        let longest = shards.first?.predicted ?? Duration.zero
        // The best possible is no less than the bound, and no schedule of this kind is longer than twice that.
        #expect(longest <= bound * 2, "seed 11")
        #expect(shards == Sharding(tests, into: count, durations: known).shards)
      }
    }
  }
}
