@testable import CoordinationCore
import Primitives
import Testing

struct AgingLinesTests {
  private func drained(_ lines: inout AgingLines<String>, _ turns: Int = .max, at time: Int64) -> [String] {
    var taken: [String] = []
    while taken.count < turns, let turn = lines.turn(at: time), let first = lines.first(of: turn.priority) {
      lines.dropFirst(of: turn.priority)
      lines.used(turn)
      taken.append(first)
    }
    return taken
  }

  private func lines(aging: Duration?, _ things: [(String, Priority, Int64)]) -> AgingLines<String> {
    var lines = AgingLines<String>(aging: aging)
    for (name, priority, since) in things { lines.push(name, priority, since: since) }
    return lines
  }

  @Test func `while nothing is overdue the order is strict`() {
    var lines = lines(
      aging: .seconds(1), [("b", .background, 0), ("n1", .normal, 1), ("c", .critical, 2), ("n2", .normal, 3)])
    #expect(drained(&lines, at: 999) == ["c", "n1", "n2", "b"])
  }

  @Test func `what is overdue gets every fourth turn, the longest overdue first`() {
    var things: [(String, Priority, Int64)] = [("l", .low, 1), ("b", .background, 0)]
    for number in 1...9 { things.append(("c\(number)", .critical, 5_000)) }
    var lines = lines(aging: .seconds(1), things)
    #expect(drained(&lines, at: 5_000) == ["c1", "c2", "c3", "b", "c4", "c5", "c6", "l", "c7", "c8", "c9"])
  }

  @Test func `turns given while nothing was overdue do not count`() {
    var lines = lines(aging: .seconds(1), [("b", .background, 0)])
    for number in 1...6 { lines.push("c\(number)", .critical, since: 0) }
    #expect(drained(&lines, 3, at: 500) == ["c1", "c2", "c3"])
    #expect(drained(&lines, at: 1_000) == ["c4", "c5", "c6", "b"])
  }

  @Test func `without aging nothing is ever overdue`() {
    var lines = lines(aging: nil, [("b", .background, 0)])
    for number in 1...5 { lines.push("c\(number)", .critical, since: 1_000_000) }
    #expect(drained(&lines, at: .max) == ["c1", "c2", "c3", "c4", "c5", "b"])
  }

  @Test func `an age that no number holds is an age all the same`() {
    var lines = lines(aging: .seconds(1), [("b", .background, .min)])
    for number in 1...4 { lines.push("c\(number)", .critical, since: .max) }
    #expect(drained(&lines, at: .max) == ["c1", "c2", "c3", "b", "c4"])
  }

  @Test func `a line that is emptied and filled again keeps its order`() {
    var lines = AgingLines<String>(aging: nil)
    var taken: [String] = []
    var next = 0
    for _ in 0..<200 {
      for _ in 0..<3 {
        lines.push("\(next)", .normal, since: 0)
        next += 1
      }
      taken += drained(&lines, 2, at: 0)
    }
    lines.removeAll { $0 != "500" }
    taken += drained(&lines, at: 0)
    #expect(taken == (0..<next).filter { $0 != 500 }.map(String.init))
  }
}
