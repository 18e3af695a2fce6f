import Primitives
import Testing

@testable import FaultProxy

@Suite struct ShaperTests {
  private func faults(_ change: (inout Faults) -> Void) -> Faults {
    var faults = Faults()
    change(&faults)
    return faults
  }

  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: 0) + .milliseconds(milliseconds) }

  /// What leaves, and when, in milliseconds, when a timer is never late.
  private func departures(_ shaper: inout Shaper, _ faults: Faults, from start: Int64 = 0) -> [(at: Int64, count: Int)]
  {
    var (now, result) = (at(start), [(at: Int64, count: Int)]())
    while true {
      switch shaper.next(faults, at: now) {
      case .idle: return result
      case .wait(let until): now = until
      case .bytes(let bytes): result.append((at: now.nanoseconds / 1_000_000, count: bytes.count))
      }
    }
  }

  @Test func `without faults bytes go on at once and as they came`() {
    var shaper = Shaper(SeededGenerator(seed: 1))
    shaper.arrive([1, 2, 3], at: at(5))
    shaper.arrive([4], at: at(6))
    #expect(shaper.next(Faults(), at: at(6)) == .bytes([1, 2, 3]))
    #expect(shaper.next(Faults(), at: at(6)) == .bytes([4]))
    #expect(shaper.next(Faults(), at: at(6)) == .idle)
    #expect(shaper.isEmpty)
  }

  @Test func `pacing follows the faults`() {
    let rows: [(String, Faults, arrivals: [(at: Int64, count: Int)], departures: [(at: Int64, count: Int)])] = [
      (
        "latency moves everything by as much", faults { $0.latency = .milliseconds(100) }, [(0, 3), (40, 2)],
        [(100, 3), (140, 2)]
      ),
      (
        "slices follow each other after a pause",
        faults {
          $0.sliceBytes = 2
          $0.slicePause = .milliseconds(10)
        }, [(0, 5)], [(0, 2), (10, 2), (20, 1)]
      ),
      (
        "a bandwidth of 1000 bytes a second passes 50 each 50 ms", faults { $0.bytesPerSecond = 1_000 }, [(0, 120)],
        [(50, 50), (100, 50), (120, 20)]
      ),
      (
        "latency and bandwidth add up",
        faults {
          $0.latency = .milliseconds(100)
          $0.bytesPerSecond = 1_000
        }, [(0, 50), (0, 50)], [(150, 50), (200, 50)]
      ),
      ("a rate of nothing counts as one byte", faults { $0.bytesPerSecond = 0 }, [(0, 2)], [(1_000, 1), (2_000, 1)]),
      ("what is held stays", faults { $0.delivery = .held }, [(0, 9)], []),
    ]
    for (title, faults, arrivals, expected) in rows {
      var shaper = Shaper(SeededGenerator(seed: 1))
      for arrival in arrivals { shaper.arrive(Array(repeating: 7, count: arrival.count), at: at(arrival.at)) }
      let found = departures(&shaper, faults)
      #expect(found.map(\.at) == expected.map(\.at), "\(title): \(found)")
      #expect(found.map(\.count) == expected.map(\.count), "\(title): \(found)")
    }
  }

  @Test func `a line that stood still does not pass at once what it would have passed meanwhile`() {
    var shaper = Shaper(SeededGenerator(seed: 1))
    var faults = faults {
      $0.bytesPerSecond = 1_000
      $0.delivery = .held
    }
    shaper.arrive(Array(repeating: 7, count: 400), at: at(0))
    #expect(shaper.next(faults, at: at(0)) == .idle)
    faults.delivery = .flowing
    let found = departures(&shaper, faults, from: 60_000)
    // A tenth of a second's worth is made up for, as after a late timer.
    #expect(found.map(\.at) == [60_000, 60_000, 60_000, 60_050, 60_100, 60_150, 60_200, 60_250])
    #expect(found.allSatisfy { $0.count == 50 })
  }

  @Test func `how bytes were cut into reads does not change which are corrupted`() {
    let faults = faults { $0.corruptsOneIn = 20 }
    let bytes = (0..<5_000).map { UInt8(truncatingIfNeeded: $0) }
    let outputs = [1, 7, 1_000, 5_000].map { size in
      var shaper = Shaper(SeededGenerator(seed: 3))
      for start in stride(from: 0, to: bytes.count, by: size) {
        shaper.arrive(Array(bytes[start..<min(start + size, bytes.count)]), at: at(0))
      }
      var output: [UInt8] = []
      while case .bytes(let next) = shaper.next(faults, at: at(0)) { output += next }
      return output
    }
    #expect(outputs.allSatisfy { $0 == outputs[0] && $0.count == bytes.count && $0 != bytes })
  }

  @Test func `jitter stays within its range and keeps the order`() {
    let faults = faults {
      $0.latency = .milliseconds(100)
      $0.jitter = .milliseconds(50)
    }
    var shaper = Shaper(SeededGenerator(seed: 7))
    for number in 0..<200 { shaper.arrive([UInt8(number)], at: at(Int64(number))) }
    let found = departures(&shaper, faults)
    #expect(found.count == 200)
    #expect(zip(found, found.dropFirst()).allSatisfy { $0.at <= $1.at })
    #expect(found.enumerated().allSatisfy { $1.at >= Int64($0) + 50 && $1.at <= 199 + 150 })
    #expect(Set(found.enumerated().map { $1.at - Int64($0) }).count > 10, "it does vary")
  }

  @Test func `a change concerns what waits already`() {
    var shaper = Shaper(SeededGenerator(seed: 1))
    shaper.arrive([1], at: at(0))
    #expect(shaper.next(faults { $0.latency = .seconds(60) }, at: at(10)) == .wait(until: at(60_000)))
    #expect(shaper.next(Faults(), at: at(10)) == .bytes([1]))
  }

  @Test func `corruption changes about one byte in so many and the same ones for the same seed`() {
    let faults = faults { $0.corruptsOneIn = 100 }
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
    var outputs: [[UInt8]] = []
    for seed in [5, 5, 6] as [UInt64] {
      var shaper = Shaper(SeededGenerator(seed: seed))
      shaper.arrive(bytes, at: at(0))
      guard case .bytes(let output) = shaper.next(faults, at: at(0)) else { return #expect(Bool(false)) }
      outputs.append(output)
      let changed = zip(bytes, output).count { $0 != $1 }
      #expect(changed == shaper.corrupted)
      #expect((800...1_200).contains(changed), "\(changed) of 100,000")
    }
    #expect(outputs[0] == outputs[1])
    #expect(outputs[0] != outputs[2])
  }

  @Test func `one in one corrupts every byte`() {
    var shaper = Shaper(SeededGenerator(seed: 1))
    shaper.arrive([0, 0, 0, 0], at: at(0))
    guard case .bytes(let output) = shaper.next(faults { $0.corruptsOneIn = 1 }, at: at(0)) else {
      return #expect(Bool(false))
    }
    #expect(output.allSatisfy { $0 != 0 })
  }
}
