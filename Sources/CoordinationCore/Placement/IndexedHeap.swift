/// A binary heap of small numbers with a key each, smallest key first, in which a number's key can be changed.
struct IndexedHeap<Key: Comparable> {
  private var heap: [(key: Key, index: Int)] = []
  /// Where each number stands in `heap`; -1: nowhere.
  private var places: [Int] = []

  var top: (key: Key, index: Int)? { heap.first }
  var isEmpty: Bool { heap.isEmpty }

  func key(of index: Int) -> Key? {
    guard index < places.count, places[index] >= 0 else { return nil }
    return heap[places[index]].key
  }

  /// Puts a number in, or gives it another key.
  mutating func set(_ index: Int, _ key: Key) {
    while places.count <= index { places.append(-1) }
    let place = places[index]
    if place < 0 {
      heap.append((key: key, index: index))
      places[index] = heap.count - 1
      rise(heap.count - 1)
    } else {
      heap[place].key = key
      rise(place)
      sink(places[index])
    }
  }

  mutating func remove(_ index: Int) {
    guard index < places.count, places[index] >= 0 else { return }
    let place = places[index]
    swapPlaces(place, heap.count - 1)
    heap.removeLast()
    places[index] = -1
    guard place < heap.count else { return }
    let moved = heap[place].index
    rise(place)
    sink(places[moved])
  }

  private mutating func swapPlaces(_ one: Int, _ other: Int) {
    guard one != other else { return }
    heap.swapAt(one, other)
    places[heap[one].index] = one
    places[heap[other].index] = other
  }

  private mutating func rise(_ start: Int) {
    var place = start
    while place > 0, heap[place].key < heap[(place - 1) / 2].key {
      swapPlaces(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while true {
      var least = place
      for child in (2 * place + 1)...(2 * place + 2) where child < heap.count && heap[child].key < heap[least].key {
        least = child
      }
      guard least != place else { return }
      swapPlaces(place, least)
      place = least
    }
  }
}
