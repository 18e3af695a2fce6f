import Primitives

/// Events in order of time, and of scheduling within one instant: a binary heap.
struct EventQueue {
  private var heap: [(time: Instant, number: UInt64, body: () -> Void)] = []
  private var next: UInt64 = 0

  var earliest: Instant? { heap.first?.time }

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].number) < (heap[right].time, heap[right].number)
  }

  mutating func push(_ time: Instant, _ body: @escaping () -> Void) {
    next += 1
    heap.append((time: time, number: next, body: body))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> (() -> Void)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first.body }
    heap[0] = last
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, smallest) {
        smallest = child
      }
      if smallest == parent { return first.body }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
