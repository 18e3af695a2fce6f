package import Primitives

/// Things that wait to leave in the order of their priorities, with what concerns one topic staying in order.
///
/// Which line has its turn is `AgingLines`' matter: strict order, and nothing starves. When it is the turn of something
/// whose topic has others waiting that came before it, the first of those leaves in its stead and it keeps its place; so
/// what is urgent lends its priority to what must precede it, and a topic's order is never broken in any direction:
///
///     NORMAL   state(A)  state(B)  checkpoint(A)
///     HIGH     result(A)                            ──▶ state(A) checkpoint(A) result(A) state(B)
///
/// Pushing and popping take constant time, amortized, and nothing depends on hashing's order. How much may wait is for
/// its owner to bound, who knows what may be given up.
package struct PriorityQueue<Topic: Hashable, Element> {
  /// Names something that was pushed, in order of arrival.
  package struct Ticket: Hashable, Comparable, Sendable {
    fileprivate let number: UInt64
    package static func < (left: Ticket, right: Ticket) -> Bool { left.number < right.number }
  }

  private struct Entry {
    var element: Element
    let topic: Topic?
    let priority: Priority
    let since: Instant
  }

  /// What waits about one topic, in order.
  private struct Chain {
    var tickets: [Ticket] = []
    var head = 0

    var first: Ticket? { head < tickets.count ? tickets[head] : nil }

    mutating func remove(_ ticket: Ticket) {
      guard first == ticket else { return tickets.removeAll { $0 == ticket } }
      head += 1
      if head * 2 >= tickets.count {
        tickets.removeFirst(head)
        head = 0
      }
    }
  }

  private var lines: AgingLines<Ticket>
  private var entries: [Ticket: Entry] = [:]
  private var chains: [Topic: Chain] = [:]
  private var lastTicket: UInt64 = 0
  /// Tickets in the lines whose entries have left.
  private var stale = 0

  /// - Parameter aging: how long something waits before it is overdue; `nil`: it never is.
  package init(aging: Duration?) {
    lines = AgingLines(aging: aging)
  }

  package var count: Int { entries.count }
  package var isEmpty: Bool { entries.isEmpty }

  /// - Parameters:
  ///   - topic: what it is about; `nil`: nothing that anything else is about.
  ///   - now: never earlier than at the push before.
  @discardableResult
  package mutating func push(
    _ element: Element, _ priority: Priority, about topic: Topic? = nil, at now: Instant
  ) -> Ticket {
    lastTicket += 1
    let ticket = Ticket(number: lastTicket)
    entries[ticket] = Entry(element: element, topic: topic, priority: priority, since: now)
    if let topic { chains[topic, default: Chain()].tickets.append(ticket) }
    lines.push(ticket, priority, since: now.milliseconds)
    return ticket
  }

  /// Puts something newer in the place of what still waits.
  /// - Returns: what it took the place of; `nil` when that has left, and then nothing changes.
  package mutating func replace(_ ticket: Ticket, with element: Element) -> Element? {
    guard let old = entries[ticket]?.element else { return nil }
    entries[ticket]?.element = element
    return old
  }

  /// Takes out what is to leave next.
  ///
  /// - Parameter mayLeave: asked about that one only; when it says no, everything stays.
  package mutating func pop(at now: Instant, if mayLeave: (Element) -> Bool = { _ in true }) -> Element? {
    while let turn = lines.turn(at: now.milliseconds), let ticket = lines.first(of: turn.priority) {
      guard let entry = entries[ticket] else {
        lines.dropFirst(of: turn.priority)
        stale -= 1
        continue
      }
      let first = entry.topic.flatMap { chains[$0]?.first } ?? ticket
      guard let element = entries[first]?.element, mayLeave(element) else { return nil }
      lines.used(turn)
      if first == ticket { lines.dropFirst(of: turn.priority) } else { stale += 1 }
      remove(first)
      return element
    }
    return nil
  }

  /// Tickets in the lines, those of what has left among them.
  var tickets: Int { lines.count }

  /// Takes out everything that `isTaken` holds for, in order of arrival.
  ///
  /// - Parameter topic: looks only at what is about this; `nil` looks at everything, in time that grows with `count`.
  @discardableResult
  package mutating func removeAll(about topic: Topic? = nil, where isTaken: (Element) -> Bool) -> [Element] {
    let tickets: [Ticket]
    if let topic {
      guard let chain = chains[topic] else { return [] }
      tickets = Array(chain.tickets[chain.head...])
    } else {
      tickets = entries.keys.sorted()
    }
    var taken: [Element] = []
    for ticket in tickets {
      guard let element = entries[ticket]?.element, isTaken(element) else { continue }
      taken.append(element)
      stale += 1
      remove(ticket)
    }
    return taken
  }

  /// How many wait, and for how long.
  package func status(at now: Instant) -> QueueStatus {
    var status = QueueStatus()
    for entry in entries.values { status.add(entry.priority, waited: now - entry.since) }
    return status
  }

  private mutating func remove(_ ticket: Ticket) {
    guard let entry = entries.removeValue(forKey: ticket) else { return }
    if let topic = entry.topic {
      chains[topic]?.remove(ticket)
      if chains[topic]?.first == nil { chains[topic] = nil }
    }
    // Those that left out of turn leave their tickets behind; swept when most are such, so each is swept once.
    if stale > 64, stale > entries.count {
      let entries = entries
      lines.removeAll { entries[$0] != nil }
      stale = 0
    }
  }
}

extension Instant {
  /// Since the clock's origin, rounded toward zero.
  var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
