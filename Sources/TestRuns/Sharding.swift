import Primitives

/// Which tests run together, and in which order: the longest first, by what they took in the past.
package struct Sharding: Equatable, Sendable {
  package struct Shard: Equatable, Sendable {
    package var tests: [String]
    /// How long it is going to take, as far as the past tells.
    package var predicted: Duration
  }

  /// Longest first.
  package let shards: [Shard]

  /// What a test is taken to last when nothing is known of any.
  package static let usual: Duration = .seconds(1)

  /// - Parameters:
  ///   - count: how many shards there are to be, and no more than tests; 0: each test is one.
  ///   - durations: what is known; a test that is not is taken to last as long as the median of those that are.
  package init(_ tests: [String], into count: Int, durations: [String: Duration]) {
    let all = zip(tests, Self.predictions(tests, durations)).map { Shard(tests: [$0], predicted: $1) }
    // Sorting is stable: equal ones keep the order in which they were named.
    let longest = all.sorted { $0.predicted > $1.predicted }
    guard count > 0, count < tests.count else {
      shards = longest
      return
    }
    // Each goes to whoever has least to do (longest processing time first): at most a third over the best possible.
    var heap = ShardHeap(count: count)
    for shard in longest { heap.add(shard) }
    shards = heap.shards.sorted { $0.predicted > $1.predicted }
  }

  /// How long each of the tests is going to take.
  package static func predictions(_ tests: [String], _ durations: [String: Duration]) -> [Duration] {
    let known = tests.compactMap { durations[$0] }.sorted()
    let median = known.isEmpty ? usual : known[known.count / 2]
    return tests.map { durations[$0] ?? median }
  }

  package var predicted: Duration { shards.reduce(.zero) { $0 + $1.predicted } }
}

/// Shards of which the one with least to do is found at once.
private struct ShardHeap {
  private var loads: [(load: Duration, shard: Int)]
  private(set) var shards: [Sharding.Shard]

  init(count: Int) {
    loads = (0..<count).map { (.zero, $0) }
    shards = Array(repeating: Sharding.Shard(tests: [], predicted: .zero), count: count)
  }

  mutating func add(_ more: Sharding.Shard) {
    let least = loads[0].shard
    shards[least].tests += more.tests
    shards[least].predicted += more.predicted
    loads[0].load += more.predicted
    var index = 0
    while true {
      var next = index
      for child in [index * 2 + 1, index * 2 + 2] where child < loads.count && loads[child] < loads[next] {
        next = child
      }
      guard next != index else { return }
      loads.swapAt(index, next)
      index = next
    }
  }
}
