@testable import CoordinationCore
@testable import Simulation
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct WorkerAdaptationTests {
  private static let bounds = WorkerBounds(
    heartbeatInterval: .seconds(5), heartbeatTimeout: .seconds(15), reconnectDelay: .seconds(1),
    maxReconnectDelay: .seconds(60))

  private static func conditions(_ change: (inout ConnectionConditions) -> Void) -> ConnectionConditions {
    var conditions = ConnectionConditions(askedInterval: .seconds(5), lease: .seconds(120))
    conditions.roundTrip = .milliseconds(2)
    change(&conditions)
    return conditions
  }

  struct Row: CustomStringConvertible {
    let name: String
    let conditions: ConnectionConditions
    /// In milliseconds.
    let interval: Int64
    let patience: Int64
    let delay: Int64
    var description: String { name }

    init(
      _ name: String, _ interval: Int64, _ patience: Int64, _ delay: Int64,
      _ change: (inout ConnectionConditions) -> Void
    ) {
      self.name = name
      (self.interval, self.patience, self.delay) = (interval, patience, delay)
      conditions = WorkerAdaptationTests.conditions(change)
    }
  }

  @Test(arguments: [
    Row("a small fleet over a fast line", 5_000, 7_500, 1_000) { _ in },
    Row("nothing measured", 5_000, 7_500, 1_000) { $0.roundTrip = nil },
    Row("asked for more", 2_000, 7_500, 1_000) { $0.askedInterval = .seconds(2) },
    Row("asked for fewer, and not because of the fleet", 5_000, 7_500, 1_000) { $0.askedInterval = .seconds(7) },
    Row("a large fleet", 6_250, 7_500, 5_500) {
      $0.askedInterval = .milliseconds(6_250)
      $0.isPaced = true
      $0.fleet = 11_000
      $0.roundTrip = .milliseconds(100)
    },
    Row("a fleet that asks for too few", 7_500, 7_504, 1_000) {
      $0.askedInterval = .seconds(60)
      $0.isPaced = true
    },
    Row("a short lease", 1_000, 7_500, 1_000) { $0.lease = .seconds(3) },
    Row("an unstable line", 2_500, 7_500, 2_000) { $0.isUnstable = true },
    Row("an unstable line to a large fleet", 6_250, 7_500, 2_000) {
      $0.askedInterval = .milliseconds(6_250)
      $0.isPaced = true
      $0.isUnstable = true
    },
    Row("a satellite", 5_000, 9_800, 1_400) {
      $0.roundTrip = .milliseconds(700)
      $0.roundTripVariation = .milliseconds(425)
    },
    Row("a line on which nothing is in time", 7_500, 15_000, 40_000) { $0.roundTrip = .seconds(20) },
    Row("a fleet larger than any delay", 5_000, 7_500, 60_000) { $0.fleet = .max },
  ])
  func `parameters follow the conditions within their bounds`(row: Row) {
    let parameters = WorkerParameters(Self.bounds, row.conditions)
    #expect(parameters.heartbeatInterval == .milliseconds(row.interval))
    #expect(parameters.patience == .milliseconds(row.patience))
    #expect(parameters.reconnectDelay == .milliseconds(row.delay))
  }

  private func random(using random: inout SeededGenerator) -> (WorkerBounds, ConnectionConditions) {
    func time(_ range: ClosedRange<Int64>) -> Duration { .milliseconds(Int64.random(in: range, using: &random)) }
    var bounds = WorkerBounds(
      heartbeatInterval: time(10...60_000), heartbeatTimeout: .zero, reconnectDelay: time(0...10_000),
      maxReconnectDelay: time(0...120_000))
    bounds.heartbeatTimeout = bounds.heartbeatInterval + time(1...120_000)
    var conditions = ConnectionConditions()
    conditions.askedInterval = Bool.random(using: &random) ? time(10...3_600_000) : nil
    conditions.isPaced = Bool.random(using: &random)
    conditions.lease = time(100...86_400_000)
    conditions.fleet = Int.random(in: 0...1_000_000_000, using: &random)
    conditions.roundTrip = Bool.random(using: &random) ? time(0...60_000) : nil
    conditions.roundTripVariation = time(0...60_000)
    conditions.isUnstable = Bool.random(using: &random)
    return (bounds, conditions)
  }

  @Test func `whatever the conditions, what was configured is kept`() {
    let seed = freshSeed()
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<20_000 {
      let (bounds, conditions) = random(using: &generator)
      let parameters = WorkerParameters(bounds, conditions)
      let isSound =
        parameters.heartbeatInterval > .zero && parameters.heartbeatInterval < bounds.heartbeatTimeout
        && parameters.heartbeatInterval <= conditions.lease / 3
        && parameters.patience <= bounds.heartbeatTimeout && parameters.patience >= bounds.heartbeatTimeout / 2
        && parameters.reconnectDelay >= min(bounds.reconnectDelay, bounds.maxReconnectDelay)
        && parameters.reconnectDelay <= max(bounds.reconnectDelay, bounds.maxReconnectDelay)
      guard isSound else {
        Issue.record("\(bounds) \(conditions) \(parameters); \(replayCommand(seed, "WorkerAdaptationTests"))")
        return
      }
    }
  }

  @Test func `on a fast line nothing ever changes`() {
    var adaptation = WorkerAdaptation(Self.bounds, isOn: true)
    var estimator = RoundTripEstimator()
    var random = SeededGenerator(seed: 3)
    adaptation.registered(lease: .seconds(120), askedInterval: .seconds(5), isPaced: false, fleet: 0)
    for second in 0..<600 {
      estimator.measured(.microseconds(Int64.random(in: 100...40_000, using: &random)))
      adaptation.measured(estimator)
      #expect(adaptation.update(at: .zero + .seconds(second)) == [])
    }
  }

  @Test func `five losses within five minutes make it unstable, and two or fewer stable again`() {
    var adaptation = WorkerAdaptation(Self.bounds, isOn: true)
    adaptation.registered(lease: .seconds(120), askedInterval: .seconds(5), isPaced: false, fleet: 0)
    for number in 0..<4 {
      adaptation.connectionLost(at: .zero + .seconds(number * 60))
      #expect(adaptation.update(at: .zero + .seconds(number * 60)) == [])
    }
    adaptation.connectionLost(at: .zero + .seconds(240))
    let changes = adaptation.update(at: .zero + .seconds(240))
    #expect(changes.map(\.parameter) == [.heartbeatInterval, .reconnectDelay])
    #expect(changes.map(\.new) == [.milliseconds(2_500), .seconds(2)])
    #expect(changes.allSatisfy { $0.reason.contains("5 connections were lost within five minutes") })
    // Three, and then two, lie within the last five minutes.
    #expect(adaptation.update(at: .zero + .seconds(420)) == [])
    #expect(adaptation.update(at: .zero + .seconds(481)).map(\.new) == [.seconds(5), .seconds(1)])
  }

  @Test func `a round trip that sways by less than a fifth changes nothing`() {
    var adaptation = WorkerAdaptation(Self.bounds, isOn: true)
    adaptation.registered(lease: .seconds(120), askedInterval: .seconds(5), isPaced: false, fleet: 0)
    var random = SeededGenerator(seed: 5)
    var changes = 0
    for second in 0..<300 {
      var estimator = RoundTripEstimator()
      estimator.measured(.milliseconds(Int64.random(in: 1_900...2_100, using: &random)))
      adaptation.measured(estimator)
      changes += adaptation.update(at: .zero + .seconds(second)).count
    }
    #expect(changes <= 2)
  }

  @Test func `without adaptation only what the coordinator asks for and the lease count, and silently`() {
    var adaptation = WorkerAdaptation(Self.bounds, isOn: false)
    adaptation.registered(lease: .seconds(9), askedInterval: .seconds(6), isPaced: true, fleet: 1_000_000)
    for second in 0..<10 { adaptation.connectionLost(at: .zero + .seconds(second)) }
    #expect(adaptation.update(at: .zero + .seconds(10)) == [])
    #expect(adaptation.parameters == WorkerParameters(fixed: Self.bounds, conditions(lease: 9)))
    #expect(adaptation.parameters.heartbeatInterval == .seconds(3))
  }

  private func conditions(lease seconds: Int) -> ConnectionConditions {
    Self.conditions { $0.lease = .seconds(seconds) }
  }

  // MARK: In the worker

  @Test func `a worker follows the interval that a large fleet's coordinator asks for, and back`() {
    let bench = WorkerBench(.session)
    bench.handle(.start)
    bench.handle(.connected(.session))
    bench.say(
      .registrationAck,
      ["session_id": "s", "resumed": false, "handled": 0, "lease_s": 120.0, "heartbeat_interval_s": 5.0])
    func beats(in seconds: Int, _ answer: JSONObject) -> Int {
      var beats = 0
      for _ in 0..<seconds * 4 {
        bench.pass(.milliseconds(250))
        for message in bench.messages() where message["type"] == "heartbeat" {
          beats += 1
          var fields = answer
          fields["response_to"] = message["sequence"] ?? .null
          bench.say(.heartbeat, fields)
        }
      }
      return beats
    }
    _ = beats(in: 10, ["heartbeat_interval_s": 5.0])
    #expect(beats(in: 60, [:]) == 12)
    _ = beats(in: 10, ["heartbeat_interval_s": 7.5, "paced": true])
    #expect(beats(in: 60, [:]) == 8)
    _ = beats(in: 10, ["heartbeat_interval_s": 5.0])
    #expect(beats(in: 60, [:]) == 12)
    #expect(bench.core.statistics.disconnections == 0)
    #expect(bench.logs.count { $0.message == "parameter adapted" && $0.level == .info } >= 2)
  }

  @Test func `silence is found within the configured timeout on the slowest line`() {
    let bench = WorkerBench(.session)
    bench.register()
    for _ in 0..<20 {
      bench.pass(.seconds(5))
      guard let beat = bench.messages().last(where: { $0["type"] == "heartbeat" }) else { continue }
      bench.now += .milliseconds(2_900)
      bench.say(.heartbeat, ["response_to": beat["sequence"] ?? .null])
    }
    #expect(bench.core.statistics.disconnections == 0)
    let heard = bench.now
    while bench.core.state == .connected, bench.now - heard < .seconds(60) { bench.pass(.milliseconds(100)) }
    #expect(bench.now - heard <= .milliseconds(15_100))
  }
}
