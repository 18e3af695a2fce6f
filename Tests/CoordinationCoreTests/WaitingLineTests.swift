import Testing

@testable import CoordinationCore

@Suite struct WaitingLineTests {
  @Test func `those that are pushed to the front go first and do not make the others behind them younger`() {
    var line = WaitingLine<String>()
    line.push("a", since: 10)
    line.push("b", since: 20)
    line.push("c", since: 90, atFront: true)
    line.push("d", since: 95, atFront: true)
    #expect(line.since == 10)
    var taken: [String] = []
    while let first = line.first {
      taken.append(first)
      line.removeFirst()
    }
    #expect(taken == ["d", "c", "a", "b"])
    #expect(line.isEmpty && line.since == nil)
  }

  @Test func `what is taken out of the middle leaves the order as it was`() {
    var line = WaitingLine<Int>()
    for number in 0..<10 { line.push(number, since: Int64(number)) }
    line.push(10, since: 50, atFront: true)
    line.removeFirst()
    line.removeFirst()
    line.removeAll { $0 % 3 == 0 }
    #expect(line.count == 3)
    #expect(line.first == 3 && line.since == 3)
    #expect(line.since { $0 > 3 } == 6)
    #expect(line.since { $0 > 9 } == nil)
  }
}
