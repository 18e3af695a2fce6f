import CoordinationCore
import Primitives
import Testing

@Suite struct AdmissionTests {
  private func admission(rate: Double = 100, burst: Int = 5, maxRetryAfter: Duration = .seconds(60)) -> Admission {
    Admission(Admission.Limits(rate: rate, burst: burst, maxRetryAfter: maxRetryAfter), at: .zero)
  }

  @Test func `the burst is admitted at once and each one after it gets a later place`() {
    var admission = admission()
    for _ in 0..<5 {
      let refusal = admission.refusal(at: .zero)
      #expect(refusal == nil)
      admission.admit(at: .zero)
    }
    let delays = (0..<4).map { _ in admission.refusal(at: .zero) }
    #expect(delays == [10, 20, 30, 40].map { .milliseconds($0) })
    #expect(admission.admitted == 5 && admission.refused == 4)
  }

  @Test func `being judged takes no place from those who come in`() {
    var admission = admission(burst: 1)
    let before = (0..<10).compactMap { _ in admission.refusal(at: .zero) }
    #expect(before.isEmpty)
    admission.admit(at: .zero)
    let after = admission.refusal(at: .zero)
    #expect(after != nil)
  }

  @Test func `nobody is told more than the longest delay, however many ask`() {
    var admission = admission(burst: 1, maxRetryAfter: .seconds(2))
    admission.admit(at: .zero)
    let delays = (0..<10_000).compactMap { _ in admission.refusal(at: .zero) }
    #expect(delays.count == 10_000 && delays.allSatisfy { $0 <= .seconds(2) })
    // Those who gave up cost nobody a place for ever.
    let later = admission.refusal(at: .zero + .seconds(3))
    #expect(later == nil)
  }

  /// Everyone asks in the same moment, comes back when told (in whole seconds, as HTTP has it, and up to a second of
  /// their own jitter), and is let in sooner or later.
  @Test(arguments: [(2_000, 1_000.0), (5_000, 2_000.0), (20_000, 2_000.0)])
  func `a herd is let in at the rate and not much later than that takes`(herd: Int, rate: Double) {
    let seed = freshSeed()
    var random = SeededGenerator(seed: seed)
    var admission = admission(rate: rate, burst: Int(rate))
    /// How many arrive in each millisecond.
    var arrivals: [Int64: Int] = [:]
    for _ in 0..<herd { arrivals[Int64.random(in: 0...1_000, using: &random), default: 0] += 1 }
    var admitted: [Int64: Int] = [:]
    var (now, last, count): (Int64, Int64, Int) = (0, 0, 0)
    while !arrivals.isEmpty, now < 120_000 {
      for _ in 0..<(arrivals.removeValue(forKey: now) ?? 0) {
        let time = Instant.zero + .milliseconds(now)
        if let delay = admission.refusal(at: time) {
          let told = RetryHint.delay(ofField: RetryHint.fieldValue(delay)) ?? .zero
          arrivals[now + told.wholeMilliseconds + Int64.random(in: 1...1_000, using: &random), default: 0] += 1
        } else {
          admission.admit(at: time)
          admitted[now / 1_000, default: 0] += 1
          (last, count) = (now, count + 1)
        }
      }
      now += 1
    }
    let comment = Comment(rawValue: replayCommand(seed, "AdmissionTests"))
    #expect(count == herd, comment)
    #expect(Double(last) / 1_000 < 2 * Double(herd) / rate + 4, comment)
    // What had been saved up, and what flowed in.
    #expect(admitted.values.allSatisfy { Double($0) <= 2 * rate + 1 }, comment)
    #expect(Double(count) <= rate + rate * Double(last + 1) / 1_000, comment)
  }

  // MARK: Hints

  @Test(arguments: [
    (Duration.zero, "retry after 0.0 s; x"), (.milliseconds(1), "retry after 0.1 s; x"),
    (.milliseconds(2_500), "retry after 2.5 s; x"), (.seconds(30), "retry after 30.0 s; x"),
    (.seconds(-3), "retry after 0.0 s; x"),
  ])
  func `a close reason begins with its hint`(delay: Duration, reason: String) {
    #expect(RetryHint.reason(delay, "x") == reason)
    let read = RetryHint.delay(ofClose: RetryHint.restart, reason: reason)
    #expect(read.map { $0 >= max(.zero, delay) && $0 < max(.zero, delay) + .milliseconds(100) } == true)
  }

  @Test(
    arguments: [
      ("retry after 2.5 s", 2.5), ("retry after 2 s; because", 2), ("retry after 0.0 s;", 0),
      ("retry after 99999999 s", 3_600), ("retry after 1e9 s", nil), ("retry after -1 s", nil), ("retry after s", nil),
      ("retry after 2.5", nil), ("retry after 2.5 seconds", nil), ("retry after .5 s", nil), ("retry after 5. s", nil),
      ("retry after 1.2.3 s", nil), ("retry after ٣ s", nil), ("please retry after 2 s", nil), ("", nil),
      ("retry after 999999999999999999999999999 s", nil), ("retry after nan s", nil),
    ] as [(String, Double?)])
  func `the hint of a close reason is read, and nothing is taken for one`(reason: String, seconds: Double?) {
    for code: UInt16 in [1001, 1012, 1013] {
      #expect(RetryHint.delay(ofClose: code, reason: reason) == seconds.map { .seconds($0) })
    }
    for code: UInt16 in [1000, 1006, 1008, 1011, 4001] {
      #expect(RetryHint.delay(ofClose: code, reason: reason) == nil)
    }
  }

  @Test func `a hint survives what a Close frame cuts off`() {
    let reason = RetryHint.reason(.seconds(7), String(repeating: "long ", count: 100))
    #expect(RetryHint.delay(ofClose: 1013, reason: String(reason.prefix(123))) == .seconds(7))
  }

  @Test(
    arguments: [
      ("1", 1), ("0", 0), ("120", 120), ("9999999999", 3_600), ("99999999999", nil), ("", nil), ("-1", nil),
      ("1.5", nil),
      (" 1", nil), ("Wed, 21 Oct 2015 07:28:00 GMT", nil), ("٣", nil),
    ] as [(String, Int64?)])
  func `a Retry-After of seconds is read and a date is ignored`(value: String, seconds: Int64?) {
    #expect(RetryHint.delay(ofField: value) == seconds.map { .seconds($0) })
  }

  @Test(arguments: [(Duration.zero, "1"), (.milliseconds(1), "1"), (.milliseconds(1_001), "2"), (.seconds(60), "60")])
  func `a Retry-After is whole seconds, rounded up`(delay: Duration, value: String) {
    #expect(RetryHint.fieldValue(delay) == value)
  }

  // MARK: Draining

  @Test(arguments: [
    (0, 5_000, 100, 0), (1, 5_000, 100, 0), (100, 5_000, 100, 0), (101, 5_000, 100, 100), (5_000, 5_000, 100, 4_900),
    (20_000, 5_000, 393, 5_000), (20_000, 0, 20_000, 0), (20_000, -3, 20_000, 0), (10, 99, 10, 0),
  ])
  func `closes are spread over the window, and a few are not`(
    connections: Int, window: Int, perStep: Int, duration: Int
  ) {
    let pace = DrainPace(connections: connections, within: .milliseconds(window))
    #expect(pace.perStep == perStep)
    #expect(pace.duration == .milliseconds(duration))
    #expect(pace.duration <= max(.zero, .milliseconds(window)))
  }
}
