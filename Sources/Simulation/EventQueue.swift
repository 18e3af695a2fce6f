import Primitives

/// Events in order of time, and of scheduling within one instant: a binary heap.
struct EventQueue {
  /// Not a tuple: a closure in an array of tuples is wrapped once more each time that it is moved.
  private struct Entry {
    let time: Instant
    let number: UInt64
    let body: () -> Void

    func isBefore(_ other: Entry) -> Bool { time == other.time ? number < other.number : time < other.time }
  }

  private var heap: [Entry] = []
  private var next: UInt64 = 0

  var earliest: Instant? { heap.first?.time }

  mutating func push(_ time: Instant, _ body: @escaping () -> Void) {
    next += 1
    let entry = Entry(time: time, number: next, body: body)
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entry.isBefore(heap[parent]) else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = entry
  }

  mutating func pop() -> (() -> Void)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first.body }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(last) else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = last
    return first.body
  }
}
