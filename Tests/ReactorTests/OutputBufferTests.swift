import Primitives
import Testing

@testable import Reactor

@Suite struct `an output buffer` {
  @Test func `gives back what was appended, whatever the order of appends and consumes`() {
    let seed = UInt64.random(in: 0 ... .max)
    var random = Linear(state: seed)
    var buffer = OutputBuffer(byteCount: 16)
    var model: [UInt8] = []
    for _ in 0..<3_000 {
      if random.next() % 2 == 0 {
        let bytes = (0..<Int(random.next() % 40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        buffer.append(bytes.span.bytes)
        model += bytes
      } else {
        let count = Int(random.next() % UInt64(model.count + 1))
        buffer.consume(count)
        model.removeFirst(count)
      }
      let same = Array(buffer.pending) == model
      #expect(same, "seed \(seed)")
      if !same { return }
    }
    #expect(buffer.capacity < 1_000_000)
  }

  @Test func `does not grow while its written half can be reused`() {
    var buffer = OutputBuffer(byteCount: 64)
    for _ in 0..<100 {
      buffer.append([UInt8](repeating: 1, count: 24).span.bytes)
      if buffer.count > 24 { buffer.consume(24) }
    }
    #expect(buffer.capacity == 64)
  }

  @Test func `a slot table reuses the slots of what left`() {
    var table = SlotTable<Int>()
    let first = table.insert(10)
    let second = table.insert(20)
    #expect(table.remove(first) == 10)
    #expect(table.insert(30) == first)
    #expect(table.elements == [30, 20])
    #expect(table.count == 2)
    #expect(table.remove(second) == 20)
  }
}

private struct Linear {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 33
  }
}
