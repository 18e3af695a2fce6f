import CoordinationCore
import Primitives

/// One simulated attempt: works off units, writes a checkpoint after each, and ends as its task's input says.
final class SimulatedExecutor {
  let key: AttemptKey
  let firstUnit: Int
  private(set) var isStopping = false
  private unowned let worker: SimulatedWorker
  private var done: Int
  private let units: Int
  private let unit: Duration
  private let failing: Int
  private var isPaused = false
  private var isStepDue = false

  init(_ assignment: Assignment, _ worker: SimulatedWorker) {
    key = AttemptKey(assignment.taskID, assignment.attempt)
    self.worker = worker
    var input = JSONObject()
    if case .custom(_, let object) = assignment.specification.work { input = object }
    units = Int(input["units"]?.integer ?? 1)
    unit = .milliseconds(input["unit_ms"]?.integer ?? 100)
    failing = Int(input["failing"]?.integer ?? 0)
    done = Int(assignment.checkpoint?.data.object?["done"]?.integer ?? 0)
    firstUnit = done
  }

  private var isAlive: Bool { worker.executors[key] === self }

  private func later(_ delay: Duration, _ body: @escaping () -> Void) {
    worker.fleet.schedule(at: worker.fleet.now + delay) { [self] in if isAlive { body() } }
  }

  func start() {
    later(.milliseconds(2)) { [self] in
      worker.handles(.attemptStarted(key))
      step()
    }
  }

  private func step() {
    guard done < units else { return end() }
    later(unit) { [self] in
      guard !isStopping else { return }
      guard !isPaused else {
        isStepDue = true
        return
      }
      finishUnit()
    }
  }

  private func finishUnit() {
    done += 1
    worker.handles(.attemptProgressed(key, Double(done) / Double(units)))
    writeCheckpoint()
    if isAlive { step() }
  }

  func writeCheckpoint() { worker.handles(.attemptCheckpointed(key, ["done": .integer(Int64(done))])) }

  private func end() {
    guard !isStopping else { return }
    worker.remove(self)
    let fails = key.attempt <= failing
    worker.handles(
      .attemptEnded(
        key,
        AttemptEnding(
          fails ? .failed : .completed, exitCode: fails ? 3 : 0, result: fails ? nil : ["done": .integer(Int64(done))],
          output: AttemptOutput(stdout: Array("unit \(done)\n".utf8)))))
  }

  func pause() {
    isPaused = true
    later(.milliseconds(1)) { [self] in worker.handles(.attemptPaused(key)) }
  }

  func resume() {
    isPaused = false
    later(.milliseconds(1)) { [self] in
      worker.handles(.attemptResumed(key))
      if isStepDue, !isPaused, !isStopping {
        isStepDue = false
        finishUnit()
      }
    }
  }

  func stop(_ reason: StopReason) {
    isStopping = true
    later(.milliseconds(20)) { [self] in
      worker.remove(self)
      worker.handles(.attemptEnded(key, AttemptEnding(.cancelled, exitCode: 143)))
    }
  }
}
