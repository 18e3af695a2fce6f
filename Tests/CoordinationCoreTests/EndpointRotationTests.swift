import CoordinationCore
import Primitives
import Testing

/// What a rotation says over a scripted time: `d0` dials the first address, `w250` waits for a moment, `w` for a failure.
private struct Rounds {
  var rotation: EndpointRotation
  var random: SeededGenerator
  var now = Instant(nanoseconds: 1_000_000_000)
  let start = Instant(nanoseconds: 1_000_000_000)

  init(_ count: Int, seed: UInt64 = 1) {
    rotation = EndpointRotation(count: count)
    random = SeededGenerator(seed: seed)
  }

  mutating func begin() { rotation.begin(at: now, using: &random) }

  mutating func pass(_ milliseconds: Int) { now += .milliseconds(milliseconds) }

  mutating func step() -> EndpointRotation.Step { rotation.next(at: now) }

  mutating func fail(_ index: Int, retryAfter: Duration? = nil) {
    rotation.failed(index, at: now, retryAfter: retryAfter, using: &random)
  }

  /// All that are dialled until something is to be waited for.
  mutating func dialled() -> [Int] {
    var dialled: [Int] = []
    while case .dial(let index) = step() { dialled.append(index) }
    return dialled
  }

  /// The order in which a round dials when nobody ever answers.
  mutating func order() -> [Int] {
    begin()
    var order: [Int] = []
    while case .dial(let index) = step() {
      order.append(index)
      pass(250)
    }
    return order
  }

  /// A whole connection to this address, of use or not, that then ends.
  mutating func connection(to index: Int, serves: Bool, retryAfter: Duration? = nil) -> Duration? {
    begin()
    while !dialled().contains(index) { pass(250) }
    rotation.opened(index)
    if serves { rotation.served() }
    return rotation.ended(at: now, retryAfter: retryAfter)
  }
}

struct EndpointRotationTests {
  @Test func `the next is dialled a pacing after the one before, and everybody once`() {
    var rounds = Rounds(3)
    rounds.begin()
    var order = rounds.dialled()
    #expect(order.count == 1)
    #expect(rounds.step() == .wait(until: rounds.start + .milliseconds(250)))
    rounds.pass(249)
    #expect(rounds.dialled() == [])
    rounds.pass(1)
    order += rounds.dialled()
    rounds.pass(250)
    order += rounds.dialled()
    #expect(Set(order) == [0, 1, 2])
    // Nobody has failed, and everybody is being dialled: only an answer can change anything.
    #expect(rounds.step() == .wait(until: nil))
    rounds.pass(60_000)
    #expect(rounds.step() == .wait(until: nil))
  }

  @Test func `a failure makes the next one's turn come at once`() {
    var rounds = Rounds(3)
    rounds.begin()
    let first = rounds.dialled()
    rounds.pass(10)
    rounds.fail(first[0])
    let second = rounds.dialled()
    #expect(second.count == 1 && second != first)
    rounds.fail(second[0])
    #expect(rounds.dialled().count == 1)
  }

  @Test(arguments: [1, 2, 5]) func `a round has failed once everybody has`(count: Int) {
    var rounds = Rounds(count)
    rounds.begin()
    for _ in 0..<count {
      let dialled = rounds.dialled()
      #expect(dialled.count == 1)
      dialled.forEach { rounds.fail($0) }
    }
    #expect(rounds.step() == .failed(retryAfter: nil))
    // The next round asks everybody again.
    #expect(rounds.order().count == count)
  }

  @Test func `the order is drawn anew for each round, and no address comes first more often than chance has it`() {
    var rounds = Rounds(4, seed: 7)
    var first = [0, 0, 0, 0]
    for _ in 0..<4_000 { first[rounds.order()[0]] += 1 }
    for count in first { #expect((850...1_150).contains(count), "\(first)") }
  }

  @Test func `where a session was lost without a word is tried first, unless it refuses`() {
    var rounds = Rounds(5, seed: 3)
    #expect(rounds.connection(to: 2, serves: true) == nil)
    for _ in 0..<20 { #expect(rounds.order()[0] == 2) }
    rounds.begin()
    #expect(rounds.dialled() == [2])
    rounds.fail(2)
    // It costs the others nothing that it is dead: they follow in the same moment.
    #expect(rounds.dialled().count == 1)
    #expect(Set((0..<50).map { _ in rounds.order()[0] }).count > 2)
  }

  @Test func `who let us in and had no use for us is tried last`() {
    var rounds = Rounds(3, seed: 4)
    #expect(rounds.connection(to: 1, serves: false) == nil)
    for _ in 0..<20 { #expect(rounds.order().last == 1) }
  }

  @Test func `who asks to be left alone is, while others can be asked`() {
    var rounds = Rounds(3, seed: 5)
    rounds.begin()
    let first = rounds.dialled()[0]
    rounds.fail(first, retryAfter: .seconds(5))
    for _ in 0..<2 { rounds.dialled().forEach { rounds.fail($0) } }
    // The others did not ask for it, so the backoff alone says when to try again.
    #expect(rounds.step() == .failed(retryAfter: nil))
    rounds.pass(2_000)
    let order = rounds.order()
    #expect(order.count == 2 && !order.contains(first))
    rounds.pass(5_000)
    #expect(rounds.order().contains(first))
  }

  @Test func `when everybody asks to be left alone the round's wish is the shortest`() {
    var rounds = Rounds(2, seed: 6)
    rounds.begin()
    let first = rounds.dialled()[0]
    rounds.fail(first, retryAfter: .seconds(9))
    rounds.pass(1_000)
    let second = rounds.dialled()[0]
    rounds.fail(second, retryAfter: .seconds(4))
    #expect(rounds.step() == .failed(retryAfter: .seconds(4)))
    // Whoever wants a round all the same gets one.
    #expect(rounds.order().count == 2)
  }

  @Test(arguments: [(1, 3), (2, nil)] as [(Int, Int?)])
  func `a hint at a connection's end is for that coordinator alone`(count: Int, wait: Int?) {
    var rounds = Rounds(count)
    let delay = rounds.connection(to: 0, serves: true, retryAfter: .seconds(3))
    #expect(delay == wait.map { .seconds($0) })
    #expect(rounds.order() == (count == 1 ? [0] : [1]))
  }

  @Test func `nobody is left out for longer than the limit, whatever was asked`() {
    var rounds = Rounds(1)
    rounds.begin()
    _ = rounds.dialled()
    rounds.fail(0, retryAfter: .seconds(1 << 40))
    #expect(rounds.step() == .failed(retryAfter: EndpointRotation.longestHold))
  }

  @Test(arguments: 1...20)
  func `while one gives no answer those that refused are tried again, ever more rarely`(seed: UInt64) {
    var rounds = Rounds(2, seed: seed)
    rounds.begin()
    let silent = rounds.dialled()[0]
    var times: [Instant] = []
    while rounds.now < rounds.start + .seconds(60) {
      switch rounds.step() {
      case .dial(let index):
        #expect(index == 1 - silent)
        times.append(rounds.now)
        rounds.pass(1)
        rounds.fail(index)
      case .wait(let until?): rounds.now = max(until, rounds.now + .milliseconds(1))
      case .wait(nil), .failed:
        Issue.record("the round is stuck")
        return
      }
    }
    // Full jitter up to 8 s: about one every 4 s in the end, and never in a rush.
    #expect((8...40).contains(times.count), "\(times.count), seed \(seed)")
  }

  @Test func `what is told of an address that is not being dialled changes nothing`() {
    var rounds = Rounds(2)
    rounds.begin()
    let first = rounds.dialled()[0]
    rounds.fail(1 - first, retryAfter: .seconds(100))
    rounds.fail(7)
    rounds.fail(-1)
    rounds.pass(250)
    #expect(rounds.dialled() == [1 - first])
  }
}
