import Primitives

/// Workers that can do the same classes of tasks, whatever their labels are: to the dispatcher they differ in room only.
///
/// Which of the classes has its turn is decided as `AgingLines` decides between lines, over all classes at once: strict order
/// of priorities, first come first served, and at least every fourth turn for what has waited longest once that is overdue.
/// A heap for each number of slots keeps the classes sorted by their first task. Keys in the heaps are never later than the
/// truth: what makes a class earlier is told to all its groups, what makes it later (a task left) is found when it comes up.
final class WorkerGroup {
  /// Workers with the same number of free slots, in the order in which they are due.
  final class Bucket {
    struct Entry {
      let worker: WorkerEntry
      let ticket: UInt64
    }

    unowned let group: WorkerGroup
    let free: Int
    private var entries: [Entry] = []
    private var head = 0
    /// Entries that stand for a worker; the others were left behind by workers that have gone elsewhere.
    fileprivate(set) var live = 0
    /// Whether the dispatcher is going to look at it.
    var isAwaited = false

    init(_ group: WorkerGroup, free: Int) {
      self.group = group
      self.free = free
    }

    func append(_ worker: WorkerEntry, _ ticket: UInt64) {
      entries.append(Entry(worker: worker, ticket: ticket))
      worker.ticket = ticket
      worker.bucket = self
      live += 1
    }

    /// The next worker with room, which stays.
    var first: Entry? {
      while head < entries.count {
        let entry = entries[head]
        if stands(entry) {
          if entry.worker.canTakeTasks, entry.worker.freeSlots == free { return entry }
          entry.worker.leaveBucket()
        }
        head += 1
        tidy()
      }
      return nil
    }

    private func tidy() {
      guard head * 2 >= entries.count else { return }
      entries.removeFirst(head)
      head = 0
    }

    fileprivate func left() {
      live -= 1
      guard entries.count - head > 2 * live + 64 else { return }
      entries = entries[head...].filter(stands)
      head = 0
    }

    /// How many tasks of so many slots those who stand in it could start now.
    func room(slots: Int, atMost limit: Int) -> Int {
      var room = 0
      for entry in entries[head...] where stands(entry) && entry.worker.canTakeTasks {
        room += entry.worker.freeSlots / slots
        if room >= limit { return limit }
      }
      return room
    }

    /// Everyone who still stands in it, in order.
    var standing: [Entry] { entries[head...].filter(stands) }

    /// Whether an entry is a worker's own still. One that was moved to another group took its ticket along.
    private func stands(_ entry: Entry) -> Bool {
      entry.worker.ticket == entry.ticket && entry.worker.bucket === self
    }
  }

  /// Classes whose tasks take the same number of slots.
  private struct Tier {
    let slots: Int
    var ranks = IndexedHeap<TaskClass.Rank>()
    var ages = IndexedHeap<TaskClass.Age>()
    /// Turns in a row that passed over what is overdue, of workers whose room ends with this tier.
    var turnsPassed = 0
  }

  /// Whose turn it is, and on what grounds.
  struct Turn {
    let taskClass: TaskClass
    let line: Int
    fileprivate let tier: Int
    fileprivate let passesOver: Bool
  }

  private(set) var classes: [TaskClass] = []
  private var tiers: [Tier] = []
  private(set) var buckets: [Int: Bucket] = [:]
  /// In order of joining.
  private(set) var workers: [WorkerEntry] = []
  /// Of them, those that start nothing else until there is room for a certain task.
  private(set) var reserved: [WorkerEntry] = []
  private let aging: Int64?
  /// How many classes were looked at: the work that choosing takes.
  private(set) var looks = 0

  init(aging: Int64?) {
    self.aging = aging
  }

  /// The same classes and turns, and nobody in it.
  init(copyOf other: WorkerGroup) {
    aging = other.aging
    tiers = other.tiers
    for taskClass in other.classes {
      taskClass.memberships.append(TaskClass.Membership(group: self, index: classes.count))
      classes.append(taskClass)
    }
  }

  // MARK: Classes

  func add(_ taskClass: TaskClass) {
    let index = classes.count
    taskClass.memberships.append(TaskClass.Membership(group: self, index: index))
    classes.append(taskClass)
    if !tiers.contains(where: { $0.slots == taskClass.key.slots }) {
      let place = tiers.firstIndex { $0.slots > taskClass.key.slots } ?? tiers.endIndex
      tiers.insert(Tier(slots: taskClass.key.slots), at: place)
    }
    publish(taskClass, index)
  }

  /// A class became earlier than its groups knew.
  func publish(_ taskClass: TaskClass, _ index: Int) {
    guard let tier = tiers.firstIndex(where: { $0.slots == taskClass.key.slots }) else { return }
    if let rank = taskClass.rank { tiers[tier].ranks.set(index, rank) }
    if aging != nil, let age = taskClass.age { tiers[tier].ages.set(index, age) }
  }

  private func first(in tier: Int) -> (rank: TaskClass.Rank, index: Int)? {
    while let (key, index) = tiers[tier].ranks.top {
      looks += 1
      guard let rank = classes[index].rank else {
        tiers[tier].ranks.remove(index)
        continue
      }
      if rank == key { return (rank, index) }
      tiers[tier].ranks.set(index, rank)
    }
    return nil
  }

  private func oldest(in tier: Int) -> (age: TaskClass.Age, index: Int)? {
    while let (key, index) = tiers[tier].ages.top {
      looks += 1
      guard let age = classes[index].age else {
        tiers[tier].ages.remove(index)
        continue
      }
      if age == key { return (age, index) }
      tiers[tier].ages.set(index, age)
    }
    return nil
  }

  /// Whose turn it is among tasks that take at most so many slots; `nil` when none waits.
  func turn(slots: Int, at milliseconds: Int64) -> Turn? {
    let count = tiers.firstIndex { $0.slots > slots } ?? tiers.count
    guard count > 0 else { return nil }
    var first: (rank: TaskClass.Rank, index: Int)?
    for tier in 0..<count {
      guard let other = self.first(in: tier), first.map({ other.rank < $0.rank }) ?? true else { continue }
      first = other
    }
    guard let first else { return nil }
    let regular = { (passesOver: Bool) in
      Turn(
        taskClass: self.classes[first.index], line: first.rank.priority, tier: count - 1, passesOver: passesOver)
    }
    guard let aging else { return regular(false) }
    var oldest: (age: TaskClass.Age, index: Int)?
    for tier in 0..<count {
      guard let other = self.oldest(in: tier), oldest.map({ other.age < $0.age }) ?? true else { continue }
      oldest = other
    }
    guard let oldest, oldest.age.rank.priority != first.rank.priority else { return regular(false) }
    let (waited, overflow) = milliseconds.subtractingReportingOverflow(oldest.age.since)
    guard waited >= aging || overflow else { return regular(false) }
    guard tiers[count - 1].turnsPassed >= AgingLines<TaskID>.turnsPassedOver else { return regular(true) }
    return Turn(
      taskClass: classes[oldest.index], line: oldest.age.rank.priority, tier: count - 1, passesOver: false)
  }

  /// A turn was used.
  func used(_ turn: Turn) {
    tiers[turn.tier].turnsPassed = turn.passesOver ? tiers[turn.tier].turnsPassed + 1 : 0
  }

  // MARK: Workers

  func join(_ worker: WorkerEntry) {
    workers.append(worker)
    worker.group = self
  }

  func leave(_ worker: WorkerEntry) {
    worker.leaveBucket()
    release(worker)
    workers.removeAll { $0 === worker }
    worker.group = nil
  }

  /// Takes in everybody that `moves` holds for in another group, each in its place.
  func takeOver(from other: WorkerGroup, where moves: (WorkerEntry) -> Bool) {
    let moving = other.workers.filter(moves)
    other.workers.removeAll(where: moves)
    for worker in moving {
      workers.append(worker)
      worker.group = self
    }
    reserved += other.reserved.filter(moves)
    other.reserved.removeAll(where: moves)
    for bucket in other.buckets.values.sorted(by: { $0.free < $1.free }) {
      for entry in bucket.standing where entry.worker.group === self {
        entry.worker.leaveBucket()
        self.bucket(free: bucket.free).append(entry.worker, entry.ticket)
      }
    }
  }

  func bucket(free: Int) -> Bucket {
    if let bucket = buckets[free] { return bucket }
    let bucket = Bucket(self, free: free)
    buckets[free] = bucket
    return bucket
  }

  var sortedBuckets: [Bucket] {
    buckets.count == 1 ? Array(buckets.values) : buckets.values.sorted { $0.free < $1.free }
  }

  /// The worker that has room for most.
  var roomiest: WorkerEntry? {
    for free in buckets.keys.sorted(by: >) { if let entry = buckets[free]?.first { return entry.worker } }
    return nil
  }

  /// How many tasks of so many slots could be started now.
  func room(slots: Int, atMost limit: Int) -> Int {
    var room = 0
    for (free, bucket) in buckets where free >= slots && bucket.live > 0 {
      room += bucket.room(slots: slots, atMost: limit - room)
      if room >= limit { return limit }
    }
    return room
  }

  func reserve(_ worker: WorkerEntry, for taskClass: TaskClass) {
    release(worker)
    worker.leaveBucket()
    worker.reservedFor = taskClass
    taskClass.reservedBy = worker
    reserved.append(worker)
  }

  func release(_ worker: WorkerEntry) {
    guard let taskClass = worker.reservedFor else { return }
    worker.reservedFor = nil
    if taskClass.reservedBy === worker { taskClass.reservedBy = nil }
    reserved.removeAll { $0 === worker }
  }
}

extension WorkerEntry {
  /// It stands in no line any more.
  func leaveBucket() {
    guard let bucket else { return }
    self.bucket = nil
    ticket = 0
    bucket.left()
  }
}
