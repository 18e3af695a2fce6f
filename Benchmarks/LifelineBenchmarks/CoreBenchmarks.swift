import CoordinationCore
import Primitives

let coreBenchmarks: [Benchmark] = [
  Benchmark("task through the cores, 8 workers", operations: 20_000, tiny: 100, showsRate: true) { operations, meter in
    let fleet = try Fleet(workers: 8, slots: 64)
    fleet.submit(operations)
    meter.start()
    while fleet.completed < operations { try fleet.step() }
    meter.stop()
    return UInt64(fleet.completed)
  }
]

/// A coordinator's core and workers' cores that hand each other their messages directly: a network without delay, a store
/// without a disk, tasks that end at once.
private final class Fleet {
  private let coordinator: CoordinatorCore
  private let workers: [(id: WorkerID, core: WorkerCore)]
  private var toCoordinator: [(worker: Int, bytes: [UInt8])] = []
  private var toWorkers: [[[UInt8]]]
  private var effects: [CoordinatorEffect] = []
  private var workerEffects: [WorkerEffect] = []
  private var now = Instant(nanoseconds: 1)
  private(set) var completed = 0

  init(workers count: Int, slots: Int) throws {
    coordinator = try CoordinatorCore(random: SeededGenerator(seed: 4), at: now)
    var workers: [(id: WorkerID, core: WorkerCore)] = []
    for number in 1...count {
      let id = try WorkerID("w\(number)")
      let configuration = WorkerCoreConfiguration(
        workerID: id, bootID: "boot\(number)", capabilities: WorkerCapabilities(slots: slots, kinds: ["instant"]))
      let random = SeededGenerator(seed: UInt64(number))
      workers.append((id, WorkerCore(configuration: configuration, random: random, at: now)))
    }
    self.workers = workers
    toWorkers = Array(repeating: [], count: count)
    for index in workers.indices { handle(.start, index) }
    while coordinator.workerSummaries.count < count { try step() }
    try step()
    try step()
  }

  func submit(_ count: Int) {
    for number in 0..<count {
      let specification = TaskSpecification(name: "t\(number)", work: .custom(kind: "instant", input: ["n": 1]))
      handle(.request(RequestID(UInt64(number)), .submit([TaskSubmission(specification)])))
    }
  }

  /// One turn of everybody's loop.
  func step() throws {
    now += .microseconds(10)
    var arrived: [(worker: Int, bytes: [UInt8])] = []
    swap(&arrived, &toCoordinator)
    for (worker, bytes) in arrived { handle(.received(ConnectionID(UInt64(worker)), bytes)) }
    handle(.turnEnded)
    for index in workers.indices {
      var arrived: [[UInt8]] = []
      swap(&arrived, &toWorkers[index])
      for bytes in arrived { handle(.received(bytes), index) }
      handle(.turnEnded, index)
    }
    if arrived.isEmpty, toCoordinator.isEmpty, now > Instant(nanoseconds: 60_000_000_000) {
      throw BenchmarkError(description: "the fleet stands still after \(completed) tasks")
    }
  }

  private func handle(_ event: CoordinatorEvent) {
    coordinator.handle(event, at: now, wall: WallTime(milliseconds: 0), into: &effects)
    var index = 0
    while index < effects.count {
      switch effects[index] {
      case .send(let id, let bytes): toWorkers[Int(id.number)].append(bytes)
      case .commit(let batch, _):
        coordinator.handle(.committed(batch), at: now, wall: WallTime(milliseconds: 0), into: &effects)
        coordinator.handle(.turnEnded, at: now, wall: WallTime(milliseconds: 0), into: &effects)
      case .notice(.taskChanged(let task)): if task.state.status == .completed { completed += 1 }
      default: break
      }
      index += 1
    }
    effects.removeAll(keepingCapacity: true)
  }

  private func handle(_ event: WorkerEvent, _ index: Int) {
    let core = workers[index].core
    func feed(_ event: WorkerEvent) {
      core.handle(event, at: now, wall: WallTime(milliseconds: 0), into: &workerEffects)
    }
    feed(event)
    var next = 0
    while next < workerEffects.count {
      switch workerEffects[next] {
      case .connect:
        handle(.connected(ConnectionID(UInt64(index)), workers[index].id, .session, remoteAddress: "memory"))
        feed(.connected(.session))
      case .send(let bytes): toCoordinator.append((index, bytes))
      case .reportBackpressure: feed(.sendingHeldBack(false))
      case .persist(let key, _): feed(.persisted(key: key))
      case .startAttempt(let assignment):
        let key = AttemptKey(assignment.taskID, assignment.attempt)
        feed(.attemptStarted(key))
        feed(.attemptEnded(key, AttemptEnding(.completed, result: .integer(1))))
      default: break
      }
      next += 1
    }
    workerEffects.removeAll(keepingCapacity: true)
  }
}
