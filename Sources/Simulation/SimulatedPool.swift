import CoordinationCore
import Primitives

/// The queued tasks that nobody has, by what they need and how urgent they are, each line in order of submission.
struct SimulatedPool {
  private struct Line {
    /// Numbers of submission, ascending.
    var numbers: [Int] = []
    var tasks: [Int: (id: TaskID, submittedAt: WallTime)] = [:]
  }

  private var lines: [TaskNeeds: [Priority: Line]] = [:]

  /// Of those that may be given out.
  var needs: [TaskNeeds] {
    lines.filter { $0.value.values.contains { !$0.numbers.isEmpty } }.keys.sorted { $0.text < $1.text }
  }

  /// One whose pause was asked for is not given out, but it is nobody's all the same.
  mutating func insert(_ record: TaskRecord, number: Int) {
    guard !record.state.isPauseRequested else { return }
    let needs = TaskNeeds(record.specification)
    var line = lines[needs]?[record.specification.priority] ?? Line()
    guard line.tasks.updateValue((record.id, record.submittedAt), forKey: number) == nil else { return }
    if let last = line.numbers.last, last > number {
      var (low, high) = (0, line.numbers.count)
      while low < high {
        let middle = (low + high) / 2
        if line.numbers[middle] < number { low = middle + 1 } else { high = middle }
      }
      line.numbers.insert(number, at: low)
    } else {
      line.numbers.append(number)
    }
    lines[needs, default: [:]][record.specification.priority] = line
  }

  mutating func remove(_ record: TaskRecord, number: Int) {
    remove(number, TaskNeeds(record.specification), record.specification.priority)
  }

  private mutating func remove(_ number: Int, _ needs: TaskNeeds, _ priority: Priority) {
    guard lines[needs]?[priority]?.tasks.removeValue(forKey: number) != nil else { return }
    if let index = lines[needs]?[priority]?.numbers.firstIndex(of: number) {
      lines[needs]?[priority]?.numbers.remove(at: index)
    }
  }

  /// As `SharedTaskStore.claim` promises it.
  mutating func claim(_ wishes: [ClaimWish], limit: Int, overdueBefore: WallTime?) -> [TaskID] {
    var left: [TaskNeeds: Int] = [:]
    for wish in wishes { left[wish.needs] = max(left[wish.needs] ?? 0, wish.count) }
    var claimed: [TaskID] = []
    if let overdueBefore {
      let quarter = limit / 4
      while claimed.count < quarter {
        guard let next = first(of: left, where: { $0.submittedAt < overdueBefore }, byAge: true) else { break }
        claimed.append(take(next, &left))
      }
    }
    while claimed.count < limit, let next = first(of: left, where: { _ in true }, byAge: false) {
      claimed.append(take(next, &left))
    }
    return claimed
  }

  private typealias Place = (needs: TaskNeeds, priority: Priority, number: Int)

  private func first(
    of left: [TaskNeeds: Int], where isWanted: ((id: TaskID, submittedAt: WallTime)) -> Bool, byAge: Bool
  ) -> Place? {
    var best: Place?
    for (needs, count) in left where count > 0 {
      for (priority, line) in lines[needs] ?? [:] {
        guard let number = line.numbers.first, let task = line.tasks[number], isWanted(task) else { continue }
        let place = (needs, priority, number)
        guard let other = best else {
          best = place
          continue
        }
        let isBetter =
          byAge || priority == other.priority ? number < other.number : priority.rawValue < other.priority.rawValue
        if isBetter { best = place }
      }
    }
    return best
  }

  private mutating func take(_ place: Place, _ left: inout [TaskNeeds: Int]) -> TaskID {
    let id = lines[place.needs]?[place.priority]?.tasks[place.number]?.id
    remove(place.number, place.needs, place.priority)
    left[place.needs]? -= 1
    return id ?? TaskID(known: "nobody")
  }
}
