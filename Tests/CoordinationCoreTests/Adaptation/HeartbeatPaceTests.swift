@testable import CoordinationCore
import Primitives
import Testing

struct HeartbeatPaceTests {
  private static let usual = HeartbeatPace.Bounds(min: .seconds(5), max: .milliseconds(7_500), rateMax: 2_000)
  private static let wide = HeartbeatPace.Bounds(min: .seconds(1), max: .seconds(60), rateMax: 1_000)

  @Test(
    arguments: [
      (usual, 0, 5_000), (usual, 10_000, 5_000), (usual, 10_001, 6_250), (usual, 12_500, 6_250), (usual, 12_501, 7_500),
      (usual, 1_000_000, 7_500), (wide, 1_000, 1_000), (wide, 1_001, 1_250), (wide, 1_000_000, 60_000),
      (HeartbeatPace.Bounds(min: .seconds(5), max: .seconds(4), rateMax: 1), 1_000, 5_000),
      (HeartbeatPace.Bounds(min: .seconds(5), max: .seconds(60), rateMax: 0), 1_000_000, 5_000),
      (HeartbeatPace.Bounds(min: .zero, max: .seconds(60), rateMax: 1), 1_000_000, 0),
    ] as [(HeartbeatPace.Bounds, Int, Int64)])
  func `the interval grows with the fleet, between its bounds`(
    bounds: HeartbeatPace.Bounds, connections: Int, milliseconds: Int64
  ) {
    var pace = HeartbeatPace(bounds)
    let change = pace.observe(connections: connections)
    #expect(pace.interval == .milliseconds(milliseconds))
    #expect((change == nil) == (pace.interval == bounds.min))
    #expect(change?.new ?? bounds.min == pace.interval)
  }

  @Test func `it shrinks again once the fleet fits the shorter interval with room to spare`() {
    var pace = HeartbeatPace(Self.usual)
    _ = pace.observe(connections: 11_000)
    #expect(pace.observe(connections: 9_000) == nil)
    #expect(pace.observe(connections: 8_334) == nil)
    let change = pace.observe(connections: 8_332)
    #expect(change?.old == .milliseconds(6_250) && change?.new == .seconds(5))
    #expect(change?.reason.contains("8332 connections") == true)
  }

  @Test func `a fleet that sways by a twentieth does not make it flap`() {
    let seed = freshSeed()
    var random = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      var pace = HeartbeatPace(Self.wide)
      let size = Int.random(in: 1...200_000, using: &random)
      var changes = 0
      for _ in 0..<100 {
        let sway = Int.random(in: -size / 20...size / 20, using: &random)
        if pace.observe(connections: size + sway) != nil { changes += 1 }
        #expect(pace.interval >= Self.wide.min && pace.interval <= Self.wide.max)
      }
      #expect(changes <= 2, "\(size) connections; \(replayCommand(seed, "HeartbeatPaceTests"))")
    }
  }

  @Test func `a large fleet's coordinator says so, in the answer to a heartbeat and at registration`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.maxHeartbeatsPerSecond = 1
    let bench = try CoordinatorBench(configuration)
    for number in 1...6 as ClosedRange<UInt64> { bench.admit(number, "w\(number)") }
    bench.say(1, .heartbeat, ["sequence": 1])
    #expect(bench.replies(1).first?["heartbeat_interval_s"] == nil)
    bench.tick(after: .seconds(1))
    #expect(
      bench.logs.contains { entry in
        entry.message == "parameter adapted" && entry.facts.contains { $0.key == "new" && $0.value == "6250 ms" }
          && entry.facts.contains { $0.key == "reason" && $0.value.contains("6 connections") }
      })
    bench.say(1, .heartbeat, ["sequence": 2])
    let answer = bench.replies(1).first
    #expect(answer?["heartbeat_interval_s"] == 6.25 && answer?["paced"] == true)
    // Said once.
    bench.say(1, .heartbeat, ["sequence": 3])
    #expect(bench.replies(1).first?["heartbeat_interval_s"] == nil)
    bench.connect(7, "w7", .session)
    bench.say(7, .registration, ["boot_id": "b", "capabilities": ["slots": 1, "kinds": ["work"]]])
    let acknowledgement = bench.replies(7).first { $0["type"] == "registration_ack" }
    #expect(acknowledgement?["heartbeat_interval_s"] == 6.25 && acknowledgement?["paced"] == true)
    for number in 2...7 as ClosedRange<UInt64> { bench.disconnect(number) }
    bench.tick(after: .seconds(1))
    bench.say(1, .heartbeat, ["sequence": 4])
    let back = bench.replies(1).first
    #expect(back?["heartbeat_interval_s"] == 5.0 && back?["paced"] == nil)
  }

  @Test func `without adaptation it stays as configured`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.maxHeartbeatsPerSecond = 1
    configuration.adaptsParameters = false
    let bench = try CoordinatorBench(configuration)
    for number in 1...20 as ClosedRange<UInt64> { bench.admit(number, "w\(number)") }
    bench.tick(after: .seconds(1))
    bench.say(1, .heartbeat, ["sequence": 1])
    #expect(bench.replies(1).first?["heartbeat_interval_s"] == nil)
    #expect(bench.core.pacing == Pacing(interval: .seconds(5), isPaced: false, fleet: 0))
  }

  @Test(
    arguments: [
      (5_000, 5_000, false, 0, 900, false), (5_000, 6_250, true, 0, 0, true), (5_000, 5_000, false, 10, 900, false),
      (5_000, 5_000, false, 900, 2_000, true), (5_000, 5_000, false, 2_000, 2_900, false),
      (5_000, 5_000, false, 2_000, 3_100, true), (5_000, 5_000, false, 4_000, 1_900, true),
    ] as [(Int64, Int64, Bool, Int, Int, Bool)])
  func `a worker is told again when the interval or much of the fleet has changed`(
    old: Int64, new: Int64, isPaced: Bool, oldFleet: Int, newFleet: Int, isOutdated: Bool
  ) {
    let told = Pacing(interval: .milliseconds(old), isPaced: false, fleet: oldFleet)
    let newer = Pacing(interval: .milliseconds(new), isPaced: isPaced, fleet: newFleet)
    #expect(told.isOutdated(by: newer) == isOutdated)
  }
}
