import Primitives

/// Five lines of things that wait, one for each priority, and the rule by which they are served.
///
/// The order is strict: while a line before it has anything, a line has to wait. Alone that would let the last lines
/// starve for as long as the first are busy. So what has waited for `aging` is overdue, and while anything is, at least
/// every fourth turn goes to the line whose first has waited longest. A line is first come, first served.
///
///     CRITICAL    ● ● ● ●        three turns of four
///     HIGH
///     NORMAL      ● ● ●          the fourth, once its first is overdue and has waited longer than any other line's
///     LOW         ●
///
/// Letting everything overdue go first was rejected: behind an hour's backlog, all of it overdue, the most urgent task
/// would wait for an hour. So the bound is one on turns: what is overdue leaves within four times as many turns as there
/// are things that have waited at least as long.
///
/// Times are whole milliseconds of one clock. Each operation takes constant time, amortized.
struct AgingLines<Element> {
  /// Turns that what is overdue may be passed over before it gets one.
  static var turnsPassedOver: Int { 3 }

  /// Whose turn it is, and on what grounds.
  struct Turn: Equatable {
    let priority: Priority
    /// Whether something overdue is passed over.
    let passesOver: Bool
  }

  private var lines: [WaitingLine<Element>]
  /// In milliseconds; `nil`: nothing is ever overdue.
  private let aging: Int64?
  /// Turns in a row that passed over what is overdue.
  private var turnsPassed = 0

  init(aging: Duration?) {
    lines = Array(repeating: WaitingLine(), count: Priority.allCases.count)
    self.aging = aging.map { max(0, $0.wholeMilliseconds) }
  }

  var isEmpty: Bool { lines.allSatisfy(\.isEmpty) }
  var count: Int { lines.reduce(0) { $0 + $1.count } }

  mutating func push(_ element: Element, _ priority: Priority, since milliseconds: Int64) {
    lines[priority.rawValue].push(element, since: milliseconds)
  }

  /// Whose turn it is; `nil` when nobody waits.
  func turn(at milliseconds: Int64) -> Turn? {
    guard let first = lines.firstIndex(where: { !$0.isEmpty }) else { return nil }
    guard let overdue = longestOverdue(at: milliseconds), overdue != first else {
      return turn(first, passesOver: false)
    }
    return turnsPassed < Self.turnsPassedOver ? turn(first, passesOver: true) : turn(overdue, passesOver: false)
  }

  private func turn(_ index: Int, passesOver: Bool) -> Turn? {
    Priority(rawValue: index).map { Turn(priority: $0, passesOver: passesOver) }
  }

  private func longestOverdue(at milliseconds: Int64) -> Int? {
    guard let aging else { return nil }
    var oldest: (index: Int, since: Int64)?
    for index in lines.indices {
      guard let since = lines[index].since, since < oldest?.since ?? .max else { continue }
      oldest = (index: index, since: since)
    }
    let (age, overflow) = milliseconds.subtractingReportingOverflow(oldest?.since ?? milliseconds)
    return age >= aging || overflow ? oldest?.index : nil
  }

  /// Who is first in a line.
  func first(of priority: Priority) -> Element? { lines[priority.rawValue].first }

  /// The first of a line has left without having been served: it only seemed to be there.
  mutating func dropFirst(of priority: Priority) { lines[priority.rawValue].removeFirst() }

  /// A turn was used, whether or not its line's first has left with it.
  mutating func used(_ turn: Turn) { turnsPassed = turn.passesOver ? turnsPassed + 1 : 0 }

  /// Keeps what `isKept` holds for, in order.
  mutating func removeAll(except isKept: (Element) -> Bool) {
    for index in lines.indices { lines[index].removeAll(except: isKept) }
  }
}
