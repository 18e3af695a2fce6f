import Primitives

/// Decides which queued task goes to which worker, without ever walking along the queue.
///
///     task ─▶ its class (kind, requirements, slots)          worker ─▶ its group (the classes it can do)
///                        └──────── heaps of each group: whose turn ────────┘
///
/// Tasks with the same needs wait in one `TaskClass`, workers that can do the same classes stand in one `WorkerGroup`. Labels
/// are compared when a class is new or a worker registers, and at no other time. A worker with room gets what would be next if
/// everything that it can do waited in one queue; workers take turns, in the order in which they got room.
///
/// **Tasks of several slots.** When it is the turn of one and nobody who may do it has room for it, the worker that has room
/// for most is reserved: it starts only what goes before that task, until it has room. Each class has at most one worker
/// reserved, so that a few large tasks do not empty the fleet; meanwhile the others go on with what fits, and whoever has
/// enough room first takes the task. So the first task of a class waits for no more than the commands that its reserved
/// worker runs already, and the n-th for n times that.
///
/// **Cost.** Giving out a task takes a time that grows with the logarithm of the number of classes, whatever waits in them.
/// A class that was empty, or whose first task has become a more urgent one, is told to its groups; there are as many as
/// there are sets of classes that some worker can do: one where no task has requirements.
struct Dispatcher {
  /// Classes without tasks are kept for the next ones, as many as these at least.
  static let maxIdleClasses = 1_024

  private var classes: [TaskNeeds: TaskClass] = [:]
  /// The same, the oldest first, so that nothing depends on hashing's order.
  private var inOrder: [TaskClass] = []
  private var groups: [WorkerGroup] = []
  private var awaited = TurnHeap()
  /// Reserved workers for whom something has changed.
  private var toLook: [WorkerEntry] = []
  private var lastTicket: UInt64 = 0
  private var lastSerial = 0
  private var lastBack: Int64 = 0
  private var lastFront: Int64 = 0
  /// In milliseconds; `nil`: nothing is ever overdue.
  private let aging: Int64?
  /// Whether priorities count; otherwise all wait in one line.
  private let isPrioritized: Bool
  /// The clock's latest; what is measured with it must not seem younger when it is set back.
  private var latest: Int64 = .min
  /// Grows whenever what the fleet can do may have changed.
  private var epoch: UInt64 = 0
  /// When there are so many classes, those without tasks are looked for.
  private var nextTidying = Self.maxIdleClasses
  /// How often a worker was compared with what a class requires.
  private(set) var comparisons = 0

  init(aging: Duration?, isPrioritized: Bool = true) {
    self.aging = aging.map { max(0, $0.wholeMilliseconds) }
    self.isPrioritized = isPrioritized
  }

  /// Entries, whatever became of their tasks.
  var count: Int { inOrder.reduce(0) { $0 + $1.count } }
  /// How many classes were looked at so far: the work that choosing takes.
  var looks: Int { groups.reduce(0) { $0 + $1.looks } }
  var groupCount: Int { groups.count }
  var classCount: Int { inOrder.count }

  // MARK: Tasks

  /// - Parameter atFront: before everyone else of its priority.
  mutating func push(_ task: LiveTask, atFront: Bool) {
    let taskClass = taskClass(of: task)
    let (rank, age) = (taskClass.rank, aging == nil ? nil : taskClass.age)
    if atFront { lastFront -= 1 } else { lastBack += 1 }
    taskClass.push(
      task, line: line(task.specification.priority), since: task.submittedAt.milliseconds,
      order: atFront ? lastFront : lastBack, atFront: atFront)
    tell(taskClass, since: rank, age)
  }

  /// A task that is in line cannot be given out any more; its entry stays until it comes up.
  mutating func left(_ task: LiveTask) {
    if let worker = task.taskClass?.reservedBy { lookAgain(at: worker) }
  }

  /// Drops the entries of tasks that are gone: for a class that nobody can do they would pile up for ever.
  mutating func removeAll(except isKept: (LiveTask) -> Bool) {
    for taskClass in inOrder {
      taskClass.keep(isKept)
      if let worker = taskClass.reservedBy { lookAgain(at: worker) }
    }
  }

  /// Since when the oldest of those that `matches` holds for has been there, in milliseconds.
  func oldest(of priority: Priority, where matches: (LiveTask) -> Bool) -> Int64? {
    inOrder.compactMap { $0.since(of: line(priority), where: matches) }.min()
  }

  /// Whether tasks of so many more classes may be queued.
  func hasRoom(for keys: Set<TaskNeeds>, limit: Int) -> Bool {
    let new = keys.count { classes[$0] == nil }
    return new == 0 || classes.count + new <= limit || inOrder.count { !$0.isEmpty } + new <= limit
  }

  private func line(_ priority: Priority) -> Int { (isPrioritized ? priority : .normal).rawValue }

  private mutating func taskClass(of task: LiveTask) -> TaskClass {
    if let known = task.taskClass, known.isKnown { return known }
    let key = TaskNeeds(task.specification)
    let taskClass = classes[key] ?? makeClass(key)
    task.taskClass = taskClass
    return taskClass
  }

  /// Tells the groups of a class that it became earlier, if it did.
  private mutating func tell(_ taskClass: TaskClass, since rank: TaskClass.Rank?, _ age: TaskClass.Age?) {
    let isEarlier = Self.isEarlier(taskClass.rank, rank)
    guard isEarlier || (aging != nil && Self.isEarlier(taskClass.age, age)) else { return }
    for membership in taskClass.memberships {
      membership.group.publish(taskClass, membership.index)
      if isEarlier { wake(membership.group) }
    }
  }

  private static func isEarlier<Key: Comparable>(_ new: Key?, _ old: Key?) -> Bool {
    guard let new else { return false }
    return old.map { new < $0 } ?? true
  }

  // MARK: Workers

  /// A worker registered: what it can do may be another.
  mutating func update(_ worker: WorkerEntry) {
    fleetChanged()
    let capabilities = WorkerCapabilities(slots: worker.slots, kinds: worker.kinds, labels: worker.labels)
    // Most come back as they were, and after an outage all at once.
    guard worker.group == nil || worker.groupedBy != capabilities else { return }
    worker.groupedBy = capabilities
    let suiting = inOrder.filter { $0.key.suits(worker) }
    comparisons += inOrder.count
    if let group = worker.group {
      if group.classes.elementsEqual(suiting, by: ===) { return }
      group.leave(worker)
      drop(group)
    }
    join(worker, suiting)
  }

  /// It may have room now.
  mutating func offer(_ worker: WorkerEntry) {
    guard worker.canTakeTasks, let group = worker.group else { return }
    if let reserved = worker.reservedFor {
      if reserved.reservedBy === worker { return lookAgain(at: worker) }
      group.release(worker)
    }
    if let bucket = worker.bucket, bucket.free == worker.freeSlots { return lineUp(bucket) }
    worker.leaveBucket()
    lastTicket += 1
    let bucket = group.bucket(free: worker.freeSlots)
    bucket.append(worker, lastTicket)
    lineUp(bucket)
  }

  /// Takes out those that are not known any more.
  mutating func forget(_ isForgotten: (WorkerEntry) -> Bool) {
    fleetChanged()
    for group in groups {
      for worker in group.workers where isForgotten(worker) { group.leave(worker) }
      drop(group)
    }
  }

  /// Workers came or went, so that what was said about them may be wrong.
  mutating func fleetChanged() { epoch &+= 1 }

  // MARK: Room

  /// How many tasks of one slot could be started now.
  func room(atMost limit: Int) -> Int {
    var room = 0
    for group in groups where room < limit { room += group.room(slots: 1, atMost: limit - room) }
    return room
  }

  /// How many tasks with these needs could be started now, if there were no others.
  mutating func room(for needs: TaskNeeds, atMost limit: Int) -> Int {
    let taskClass = classes[needs] ?? makeClass(needs)
    var room = 0
    for membership in taskClass.memberships where room < limit {
      room += membership.group.room(slots: needs.slots, atMost: limit - room)
    }
    return room
  }

  // MARK: Giving out

  /// The next task that is to be started, and by whom; the caller assigns it and offers the worker again.
  mutating func next(at wall: WallTime) -> (task: LiveTask, worker: WorkerEntry)? {
    latest = max(latest, wall.milliseconds)
    while let worker = toLook.popLast() {
      worker.isToBeLookedAt = false
      if let task = taskOfReserved(worker) { return (task, worker) }
    }
    while let (ticket, bucket) = awaited.pop() {
      bucket.isAwaited = false
      guard let entry = bucket.first else { continue }
      // Whoever was first meanwhile has gone elsewhere, and others are due before the next one.
      guard entry.ticket == ticket else {
        lineUp(bucket)
        continue
      }
      switch choose(for: entry.worker, in: bucket) {
      case .nothing: break
      case .again: lineUp(bucket)
      case .task(let task, let worker):
        worker.leaveBucket()
        lineUp(bucket)
        return (task, worker)
      }
    }
    return nil
  }

  private enum Choice {
    case task(LiveTask, WorkerEntry)
    /// Nobody with as much room finds anything.
    case nothing
    case again
  }

  private mutating func choose(for worker: WorkerEntry, in bucket: WorkerGroup.Bucket) -> Choice {
    let group = bucket.group
    while let whole = group.turn(slots: .max, at: latest) {
      guard isReady(whole) else { continue }
      if whole.taskClass.key.slots <= bucket.free { return .task(take(whole, for: worker), worker) }
      if !isReserved(whole.taskClass), let roomiest = group.roomiest {
        if roomiest.freeSlots >= whole.taskClass.key.slots { return .task(take(whole, for: roomiest), roomiest) }
        group.reserve(roomiest, for: whole.taskClass)
        if roomiest === worker { return .again }
      }
      guard let fitting = group.turn(slots: bucket.free, at: latest) else { return .nothing }
      if isReady(fitting) { return .task(take(fitting, for: worker), worker) }
    }
    return .nothing
  }

  /// What a worker that is reserved for a task starts now: that, or what goes before it.
  private mutating func taskOfReserved(_ worker: WorkerEntry) -> LiveTask? {
    guard let reserved = worker.reservedFor, let group = worker.group, worker.isPlaceable else { return nil }
    while let whole = group.turn(slots: .max, at: latest) {
      guard isReady(whole) else { continue }
      if whole.taskClass.key.slots <= worker.freeSlots, worker.canTakeTasks { return take(whole, for: worker) }
      if whole.taskClass === reserved { return nil }
      guard isReserved(whole.taskClass) else {
        group.reserve(worker, for: whole.taskClass)
        return nil
      }
      guard !skipGone(reserved) else { return nil }
      break
    }
    group.release(worker)
    offer(worker)
    return nil
  }

  /// Whether the first of the line whose turn it is can be given out. One that cannot is dropped: it takes nobody's turn.
  private mutating func isReady(_ turn: WorkerGroup.Turn) -> Bool {
    guard let task = turn.taskClass.first(of: turn.line) else { return false }
    guard !task.isReady else { return true }
    remove(from: turn.taskClass, turn.line)
    return false
  }

  /// Drops what cannot be given out from the beginning of a class; returns whether anything is left.
  private mutating func skipGone(_ taskClass: TaskClass) -> Bool {
    while let rank = taskClass.rank, let task = taskClass.first(of: rank.priority) {
      if task.isReady { return true }
      remove(from: taskClass, rank.priority)
    }
    return false
  }

  private mutating func take(_ turn: WorkerGroup.Turn, for worker: WorkerEntry) -> LiveTask {
    guard let task = turn.taskClass.first(of: turn.line) else { preconditionFailure("a turn without a task") }
    remove(from: turn.taskClass, turn.line)
    worker.group?.used(turn)
    if let holder = turn.taskClass.reservedBy {
      if holder === worker { worker.group?.release(worker) } else { lookAgain(at: holder) }
    }
    return task
  }

  private mutating func remove(from taskClass: TaskClass, _ line: Int) {
    let age = aging == nil ? nil : taskClass.age
    taskClass.first(of: line)?.isInLine = false
    taskClass.removeFirst(of: line)
    // Those that went to the front of a line may have hidden an older one.
    if aging != nil { tell(taskClass, since: taskClass.rank, age) }
  }

  /// Whether a worker that is there keeps itself free for the first task of a class.
  private func isReserved(_ taskClass: TaskClass) -> Bool {
    guard let worker = taskClass.reservedBy else { return false }
    return worker.reservedFor === taskClass && worker.isPlaceable
  }

  private mutating func lookAgain(at worker: WorkerEntry) {
    guard !worker.isToBeLookedAt else { return }
    worker.isToBeLookedAt = true
    toLook.append(worker)
  }

  private mutating func lineUp(_ bucket: WorkerGroup.Bucket) {
    guard !bucket.isAwaited, let first = bucket.first else { return }
    bucket.isAwaited = true
    awaited.push(bucket, first.ticket)
  }

  /// Everybody in it may find something now.
  private mutating func wake(_ group: WorkerGroup) {
    for bucket in group.sortedBuckets { lineUp(bucket) }
    for worker in group.reserved { lookAgain(at: worker) }
  }

  // MARK: Classes and groups

  private mutating func makeClass(_ key: TaskNeeds) -> TaskClass {
    forgetIdleClasses()
    lastSerial += 1
    let taskClass = TaskClass(key, serial: lastSerial)
    classes[key] = taskClass
    inOrder.append(taskClass)
    for group in groups {
      let suiting = Set(group.workers.lazy.filter(key.suits).map(ObjectIdentifier.init))
      comparisons += group.workers.count
      if suiting.count == group.workers.count {
        group.add(taskClass)
      } else if !suiting.isEmpty {
        let part = WorkerGroup(copyOf: group)
        part.add(taskClass)
        part.takeOver(from: group) { suiting.contains(ObjectIdentifier($0)) }
        groups.append(part)
        wake(part)
      }
    }
    return taskClass
  }

  private mutating func join(_ worker: WorkerEntry, _ suiting: [TaskClass]) {
    if let group = groups.first(where: { $0.classes.elementsEqual(suiting, by: ===) }) { return group.join(worker) }
    let group = WorkerGroup(aging: aging)
    for taskClass in suiting { group.add(taskClass) }
    group.join(worker)
    groups.append(group)
  }

  /// A group without workers is none.
  private mutating func drop(_ group: WorkerGroup) {
    guard group.workers.isEmpty else { return }
    for taskClass in group.classes { taskClass.memberships.removeAll { $0.group === group } }
    groups.removeAll { $0 === group }
  }

  /// Forgets classes without tasks once they are many, and makes the groups anew that they told apart.
  private mutating func forgetIdleClasses() {
    guard inOrder.count >= nextTidying else { return }
    let idle = inOrder.filter(\.isEmpty)
    // Looked for rarely, and dropped when they are many, so that neither costs much of each class.
    nextTidying = inOrder.count + Self.maxIdleClasses / 2
    guard idle.count >= Self.maxIdleClasses / 2 else { return }
    nextTidying = max(Self.maxIdleClasses, (inOrder.count - idle.count) * 2)
    for taskClass in idle {
      classes[taskClass.key] = nil
      taskClass.isKnown = false
    }
    inOrder.removeAll { !$0.isKnown }
    let workers = groups.flatMap(\.workers)
    let standing = workers.filter { $0.bucket != nil }.sorted { $0.ticket < $1.ticket }
    for worker in workers {
      worker.leaveBucket()
      if let group = worker.group { group.release(worker) }
      worker.group = nil
    }
    for taskClass in inOrder { taskClass.memberships = [] }
    groups = []
    awaited.removeAll()
    for worker in workers { join(worker, inOrder.filter { $0.key.suits(worker) }) }
    comparisons += workers.count * inOrder.count
    for worker in standing { offer(worker) }
    for worker in workers { offer(worker) }
  }

  // MARK: What is missing

  /// Why no worker that is connected can ever do a task, in words; `nil` when one can, and only has no room yet.
  func obstacle(for task: LiveTask) -> String? {
    task.taskClass.flatMap { ability($0).obstacle(to: $0.key) }
  }

  /// What of these needs the connected workers meet.
  mutating func ability(for needs: TaskNeeds) -> Ability { ability(classes[needs] ?? makeClass(needs)) }

  private func ability(_ taskClass: TaskClass) -> Ability {
    if let known = taskClass.ability, known.epoch == epoch { return known.ability }
    let isConnected = { (worker: WorkerEntry) in worker.link?.isRegistered == true }
    let ability: Ability
    if taskClass.memberships.contains(where: { $0.group.workers.contains(where: isConnected) }) {
      ability = .everything
    } else {
      ability = Ability(taskClass.key, of: groups.lazy.flatMap(\.workers).filter(isConnected))
    }
    taskClass.ability = (epoch: epoch, ability: ability)
    return ability
  }
}
