/// Keeps objects alive under small integer keys; insert and remove in constant time, no hashing.
struct SlotTable<Element> {
  private var slots: ContiguousArray<Element?> = []
  private var free: ContiguousArray<Int> = []

  private(set) var count = 0

  mutating func insert(_ element: Element) -> Int {
    count += 1
    if let slot = free.popLast() {
      slots[slot] = element
      return slot
    }
    slots.append(element)
    return slots.count - 1
  }

  /// Removes what `insert` stored under `slot`; a slot is removed once.
  @discardableResult
  mutating func remove(_ slot: Int) -> Element? {
    let element = slots[slot].take()
    precondition(element != nil, "slot \(slot) was removed twice")
    count -= 1
    free.append(slot)
    return element
  }

  /// A copy, so that its owner may insert and remove while going through it.
  var elements: [Element] { slots.compactMap { $0 } }
}
