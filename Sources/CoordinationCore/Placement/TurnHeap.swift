/// Buckets in which someone may find something to do, the one whose first worker is due first on top.
struct TurnHeap {
  private var heap: [(ticket: UInt64, bucket: WorkerGroup.Bucket)] = []

  var isEmpty: Bool { heap.isEmpty }

  mutating func push(_ bucket: WorkerGroup.Bucket, _ ticket: UInt64) {
    heap.append((ticket: ticket, bucket: bucket))
    var place = heap.count - 1
    while place > 0, heap[place].ticket < heap[(place - 1) / 2].ticket {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  mutating func pop() -> (ticket: UInt64, bucket: WorkerGroup.Bucket)? {
    guard let top = heap.first, let last = heap.popLast() else { return nil }
    guard !heap.isEmpty else { return top }
    heap[0] = last
    var place = 0
    while true {
      var least = place
      for child in (2 * place + 1)...(2 * place + 2) where child < heap.count && heap[child].ticket < heap[least].ticket
      {
        least = child
      }
      guard least != place else { return top }
      heap.swapAt(place, least)
      place = least
    }
  }

  mutating func removeAll() { heap = [] }
}
