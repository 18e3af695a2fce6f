/// A line that is first come, first served, but for those that are pushed to its front. Each operation takes constant time,
/// amortized, but for those that look at everybody.
struct WaitingLine<Element> {
  /// - `since`: in milliseconds of one clock.
  typealias Entry = (element: Element, since: Int64)

  /// Newest last; they go before everyone else.
  private var front: [Entry] = []
  private var back: [Entry] = []
  /// What is before this index of `back` has left, and waits for the array to be tidied.
  private var head = 0

  var count: Int { front.count + back.count - head }
  var isEmpty: Bool { front.isEmpty && head == back.count }
  var first: Element? { front.last?.element ?? (head < back.count ? back[head].element : nil) }

  /// Since when the line has waited: those that push to its front may be younger than those they push back.
  var since: Int64? {
    guard head < back.count else { return front.last?.since }
    guard let front = front.last?.since else { return back[head].since }
    return min(front, back[head].since)
  }

  mutating func push(_ element: Element, since: Int64, atFront: Bool = false) {
    if atFront { front.append((element: element, since: since)) } else { back.append((element: element, since: since)) }
  }

  mutating func removeFirst() {
    if front.popLast() != nil { return }
    guard head < back.count else { return }
    head += 1
    // Moving the rest down only when at least half is gone keeps the cost of each removal constant.
    if head * 2 >= back.count {
      back.removeFirst(head)
      head = 0
    }
  }

  /// Keeps what `isKept` holds for, in order.
  mutating func removeAll(except isKept: (Element) -> Bool) {
    front.removeAll { !isKept($0.element) }
    back = back[head...].filter { isKept($0.element) }
    head = 0
  }

  /// Since when the oldest that `matches` holds for has waited.
  func since(where matches: (Element) -> Bool) -> Int64? {
    let inFront = front.filter { matches($0.element) }.map(\.since).min()
    let behind = back[head...].first { matches($0.element) }?.since
    return [inFront, behind].compactMap(\.self).min()
  }
}
