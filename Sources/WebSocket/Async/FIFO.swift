/// A queue in a ring: constant time at both ends, and no allocation once it has grown to what is usual.
struct FIFO<Element> {
  private var ring: ContiguousArray<Element?> = []
  private var head = 0
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func append(_ element: Element) {
    if count == ring.count { grow() }
    // The capacity is a power of two.
    ring[(head + count) & (ring.count - 1)] = element
    count += 1
  }

  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = ring[head].take()
    head = (head + 1) & (ring.count - 1)
    count -= 1
    return element
  }

  mutating func removeAll() { self = FIFO() }

  private mutating func grow() {
    var larger = ContiguousArray<Element?>(repeating: nil, count: max(8, ring.count * 2))
    for index in 0..<count { larger[index] = ring[(head + index) & (ring.count - 1)].take() }
    ring = larger
    head = 0
  }
}
