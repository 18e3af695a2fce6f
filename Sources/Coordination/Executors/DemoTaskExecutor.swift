public import CoordinationCore
import Primitives
public import Reactor

/// Executes `demo_task`: counts iterations and sleeps in each, to show and to test everything else.
///
/// Its input is `iterations` (1 to 1,000,000; 10 when absent), the seconds slept in each as `sleep`, `sleep_s` or
/// `sleep_time` (0 to 86,400; 1 when absent), and `checkpoint_every` (in iterations; when absent each one of a slow task
/// and about a hundred in all of a long one). Checkpoints are `{"iteration": n}`, the result is `{"iterations": n}`.
public final class DemoTaskExecutor: TaskExecutor {
  public let kinds: Set<String> = ["demo_task"]
  private var attempts: [AttemptKey: DemoAttempt] = [:]

  public init() {}

  public func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop) {
    let plan: DemoPlan
    do {
      plan = try DemoPlan(assignment)
    } catch {
      return reporter.ended(AttemptEnding(.failed, reason: "the input of demo_task is wrong: \(error)"))
    }
    let key = reporter.key
    let attempt = DemoAttempt(plan, reporter, on: loop) { [weak self] in self?.attempts[key] = nil }
    attempts[key] = attempt
    attempt.start()
  }

  public func pause(_ key: AttemptKey) { attempts[key]?.pause() }
  public func resume(_ key: AttemptKey) { attempts[key]?.resume() }
  public func stop(_ key: AttemptKey, _ reason: StopReason) { attempts[key]?.stop(reason) }
  public func requestCheckpoint(_ key: AttemptKey) { attempts[key]?.checkpoint() }

  public func roomAvailable() {
    for attempt in Array(attempts.values) { attempt.roomAvailable() }
  }
}

@available(*, unavailable) extension DemoTaskExecutor: Sendable {}

/// What a `demo_task` was asked to do, checked.
struct DemoPlan: Equatable {
  var iterations = 10
  var sleep: Duration = .seconds(1)
  var checkpointEvery = 1
  /// Done by earlier attempts.
  var done = 0
  var timeout: Duration?

  struct BadInput: Error, Equatable, CustomStringConvertible {
    let description: String
  }

  init(_ assignment: Assignment) throws(BadInput) {
    guard case .custom(_, let input) = assignment.specification.work else {
      throw BadInput(description: "it is a command")
    }
    iterations = try Self.integer("iterations", input) ?? 10
    for name in ["sleep", "sleep_s", "sleep_time"] {
      guard let value = input[name] else { continue }
      guard let seconds = value.number, (0...86_400).contains(seconds) else {
        throw BadInput(description: "\(name) must be a number of seconds from 0 to 86,400")
      }
      sleep = .seconds(seconds)
    }
    checkpointEvery =
      try Self.integer("checkpoint_every", input) ?? (sleep >= .milliseconds(50) ? 1 : max(1, iterations / 100))
    let reached = assignment.checkpoint?.data.object?["iteration"]?.integer ?? 0
    done = Int(min(max(reached, 0), Int64(iterations)))
    timeout = assignment.specification.timeout
  }

  private static func integer(_ name: String, _ input: JSONObject) throws(BadInput) -> Int? {
    guard let value = input[name] else { return nil }
    guard let number = value.integer, (1...1_000_000).contains(number) else {
      throw BadInput(description: "\(name) must be an integer from 1 to 1,000,000")
    }
    return Int(number)
  }
}

private final class DemoAttempt {
  private let plan: DemoPlan
  private let reporter: AttemptReporter
  private let loop: EventLoop
  private var onEnd: (() -> Void)?
  private var done: Int
  private var isPaused = false
  /// A checkpoint is due, and waits for room.
  private var owesCheckpoint = false
  private lazy var timer = loop.makeTimer { [weak self] in self?.tick() }
  private lazy var timeout = loop.makeTimer { [weak self] in self?.timedOut() }

  /// Without a sleep, this many iterations are done before others on the loop get their turn.
  private static let maxIterationsPerTurn = 1_000

  init(_ plan: DemoPlan, _ reporter: AttemptReporter, on loop: EventLoop, onEnd: @escaping () -> Void) {
    self.plan = plan
    self.reporter = reporter
    self.loop = loop
    self.onEnd = onEnd
    done = plan.done
  }

  func start() {
    if let limit = plan.timeout { timeout.start(after: limit) }
    reporter.started()
    goOn()
  }

  func pause() {
    guard onEnd != nil, !isPaused else { return }
    isPaused = true
    timer.cancel()
    reporter.paused()
  }

  func resume() {
    guard onEnd != nil, isPaused else { return }
    isPaused = false
    reporter.resumed()
    goOn()
  }

  func stop(_ reason: StopReason) { end(AttemptEnding(.cancelled, reason: reason.rawValue)) }

  func checkpoint() {
    guard onEnd != nil else { return }
    owesCheckpoint = false
    reporter.checkpointed(["iteration": .integer(Int64(done))])
  }

  func roomAvailable() {
    guard owesCheckpoint, reporter.hasRoom else { return }
    checkpoint()
    goOn()
  }

  private func goOn() {
    guard onEnd != nil, !isPaused, !owesCheckpoint else { return }
    if done >= plan.iterations {
      return end(AttemptEnding(.completed, result: ["iterations": .integer(Int64(done))]))
    }
    timer.start(after: plan.sleep)
  }

  private func tick() {
    let batch = plan.sleep > .zero ? 1 : Self.maxIterationsPerTurn
    for _ in 0..<batch where done < plan.iterations && !owesCheckpoint && !isPaused && onEnd != nil {
      done += 1
      let isDue = done.isMultiple(of: plan.checkpointEvery) || done == plan.iterations
      guard isDue else { continue }
      if reporter.hasRoom { checkpoint() } else { owesCheckpoint = true }
    }
    if onEnd != nil { reporter.progressed(Double(done) / Double(plan.iterations)) }
    goOn()
  }

  private func timedOut() {
    end(AttemptEnding(.failed, reason: "timed out after \(describe(plan.timeout ?? .zero))"))
  }

  private func end(_ ending: AttemptEnding) {
    guard let onEnd = onEnd.take() else { return }
    timer.cancel()
    timeout.cancel()
    onEnd()
    reporter.ended(ending)
  }
}

@available(*, unavailable) extension DemoAttempt: Sendable {}
