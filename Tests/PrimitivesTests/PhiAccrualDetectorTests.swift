import Primitives
import Testing

@Suite struct PhiAccrualDetectorTests {
  static func settings(threshold: Double = 8, minimum: Duration = .seconds(2), maximum: Duration = .seconds(30))
    -> PhiAccrualDetector.Configuration
  {
    .init(threshold: threshold, minimum: minimum, maximum: maximum, expectedGap: .seconds(1))
  }

  /// A detector that has seen `count` gaps uniform in `gap` ± `jitter`.
  func detector(
    _ settings: PhiAccrualDetector.Configuration, gap: Duration, jitter: Duration = .zero, count: Int = 200,
    seed: UInt64 = 1
  ) -> PhiAccrualDetector {
    var random = SeededGenerator(seed: seed)
    var now = Instant.zero
    var detector = PhiAccrualDetector(settings, at: now)
    for _ in 0..<count {
      let offset = Int64.random(in: -jitter.wholeNanoseconds...jitter.wholeNanoseconds, using: &random)
      now += gap + .nanoseconds(offset)
      detector.heartbeat(at: now)
    }
    return detector
  }

  @Test func `suspicion grows with silence and falls with a heartbeat`() {
    var detector = detector(Self.settings(), gap: .seconds(1), jitter: .milliseconds(200))
    let last = detector.lastHeartbeat
    let levels = [500, 1000, 1200, 1500, 2000, 5000].map { detector.phi(at: last + .milliseconds($0)) }
    #expect(levels == levels.sorted() && Set(levels).count == levels.count)
    #expect(levels[1] > 0.2 && levels[1] < 0.5)  // at the mean, half of all gaps are longer
    detector.heartbeat(at: last + .seconds(1))
    #expect(detector.phi(at: last + .milliseconds(1001)) < 0.001)
  }

  @Test func `silence under the minimum is never suspect, however regular the peer was`() {
    let detector = detector(Self.settings(), gap: .seconds(1))
    let last = detector.lastHeartbeat
    #expect(detector.phi(at: last + .milliseconds(1999)) > 8)
    #expect(!detector.isSuspect(at: last + .milliseconds(1999)))
    #expect(detector.isSuspect(at: last + .seconds(2)))
  }

  @Test func `silence of the maximum is always suspect, however irregular the peer was`() {
    let detector = detector(Self.settings(maximum: .seconds(10)), gap: .seconds(5), jitter: .seconds(5))
    let last = detector.lastHeartbeat
    #expect(detector.phi(at: last + .seconds(10)) < 8)
    #expect(!detector.isSuspect(at: last + .milliseconds(9999)))
    #expect(detector.isSuspect(at: last + .seconds(10)))
  }

  @Test(arguments: 0..<10)
  func `between the bounds a peer is suspect exactly from the threshold on`(seed: UInt64) {
    let settings = Self.settings(threshold: 5, minimum: .zero, maximum: .seconds(60))
    let detector = detector(settings, gap: .seconds(1), jitter: .milliseconds(300), seed: seed)
    let moment = detector.suspectAt
    #expect(detector.phi(at: moment - .microseconds(1)) < 5)
    #expect(detector.phi(at: moment + .microseconds(1)) >= 5)
    #expect(!detector.isSuspect(at: moment - .nanoseconds(1)) && detector.isSuspect(at: moment))
  }

  @Test func `before any heartbeat the expected gap is what is known`() {
    let detector = PhiAccrualDetector(Self.settings(minimum: .zero), at: .zero)
    #expect(!detector.isSuspect(at: .zero + .seconds(2)))
    #expect(detector.isSuspect(at: .zero + .seconds(3)))
  }

  @Test func `a slower rhythm is learnt within one window`() {
    var detector = detector(Self.settings(minimum: .zero), gap: .seconds(1))
    for _ in 0..<100 { detector.heartbeat(at: detector.lastHeartbeat + .seconds(4)) }
    #expect(!detector.isSuspect(at: detector.lastHeartbeat + .milliseconds(4200)))
    #expect(detector.isSuspect(at: detector.lastHeartbeat + .seconds(5)))
  }

  @Test func `an outage that ended in a resumption is not learnt as rhythm`() {
    var detector = detector(Self.settings(), gap: .seconds(1))
    let patience = detector.suspectAt - detector.lastHeartbeat
    detector.resumed(at: detector.lastHeartbeat + .seconds(600))
    #expect(detector.suspectAt - detector.lastHeartbeat == patience)
  }

  @Test func `time that runs backwards or leaps changes nothing but the window`() {
    var detector = detector(Self.settings(), gap: .seconds(1))
    let last = detector.lastHeartbeat
    detector.heartbeat(at: .zero)
    #expect(detector.lastHeartbeat == last)
    #expect(detector.phi(at: .zero) < 0.01)
    detector.heartbeat(at: .distantFuture)
    #expect(detector.suspectAt == .distantFuture)
    #expect(detector.phi(at: .distantFuture).isFinite)
  }

  @Test func `settings out of range are brought into it`() {
    let settings = PhiAccrualDetector.Configuration(
      threshold: .nan, minimum: .seconds(9), maximum: .seconds(3), expectedGap: .seconds(-1), deviationMin: .zero,
      windowCount: 0)
    #expect(settings.threshold == 8 && settings.windowCount == 2)
    #expect(settings.minimum == .seconds(3) && settings.expectedGap == .zero && settings.deviationMin > .zero)
    let detector = detector(settings, gap: .zero, count: 10)
    #expect(detector.suspectAt == .zero + .seconds(3))
    #expect(detector.phi(at: .distantFuture).isFinite)
  }
}
