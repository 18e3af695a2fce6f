import CoordinationCore
import Primitives
import Reactor

/// One run of a closure, as its worker's loop sees it.
final class ClosureAttempt {
  /// How the closure's thread finds the attempt, as long as there is one.
  final class Link {
    weak var attempt: ClosureAttempt?
  }

  private enum Outcome: Sendable {
    case returned(JSONValue?)
    case threw(String)
  }

  private let reporter: AttemptReporter
  private let context: TaskContext
  private let timeout: Duration?
  private let cancellationGrace: Duration
  private let loop: EventLoop
  private let link: LoopBound<Link>
  private var onEnd: (() -> Void)?
  private var task: Task<Void, Never>?
  /// Checkpoints for which there is no room yet.
  private var offers: [(data: JSONValue, continuation: CheckedContinuation<Void, any Error>)] = []
  private var isPaused = false
  private var standsStillSincePause = false
  private var stopReason: StopReason?
  private var hasTimedOut = false
  private lazy var timeoutTimer = loop.makeTimer { [weak self] in self?.timedOut() }
  private lazy var graceTimer = loop.makeTimer { [weak self] in self?.ended(.threw("it did not end when cancelled")) }

  init(
    _ assignment: Assignment, _ reporter: AttemptReporter, cancellationGrace: Duration, on loop: EventLoop,
    onEnd: @escaping () -> Void
  ) {
    self.reporter = reporter
    self.cancellationGrace = cancellationGrace
    self.loop = loop
    self.onEnd = onEnd
    timeout = assignment.specification.timeout
    let link = Link()
    self.link = LoopBound(link, to: loop)
    context = TaskContext(assignment, mailbox: loop.mailbox, link: self.link)
    link.attempt = self
  }

  deinit {
    // The loop ended before the closure did; nothing may wait for it for ever.
    task?.cancel()
    context.stop()
    for offer in offers { offer.continuation.resume(throwing: CancellationError()) }
  }

  func start(_ body: @escaping ClosureExecutor.Body) {
    if let timeout { timeoutTimer.start(after: timeout) }
    reporter.started()
    let mailbox = loop.mailbox
    task = Task { [context, link] in
      let outcome: Outcome
      do {
        outcome = .returned(try await body(context))
      } catch {
        outcome = .threw("\(error)")
      }
      mailbox.post { link.value.attempt?.ended(outcome) }
    }
  }

  // MARK: What the worker wants

  func pause() {
    guard !isPaused, onEnd != nil else { return }
    isPaused = true
    standsStillSincePause = false
    context.setPaused(true)
  }

  func resume() {
    guard isPaused, onEnd != nil else { return }
    isPaused = false
    context.setPaused(false)
    reporter.resumed()
  }

  func stop(_ reason: StopReason) {
    guard onEnd != nil else { return }
    stopReason = stopReason ?? reason
    cancel()
  }

  func requestCheckpoint() {
    if let data = context.currentState { reporter.checkpointed(data) }
  }

  func roomAvailable() {
    while reporter.hasRoom, !offers.isEmpty {
      let offer = offers.removeFirst()
      reporter.checkpointed(offer.data)
      offer.continuation.resume()
    }
  }

  // MARK: What the closure says

  func offer(_ data: JSONValue, _ continuation: CheckedContinuation<Void, any Error>) {
    guard onEnd != nil, stopReason == nil, !hasTimedOut else {
      return continuation.resume(throwing: CancellationError())
    }
    offers.append((data, continuation))
    roomAvailable()
  }

  func progressed(_ progress: Double) { reporter.progressed(progress) }

  /// It waits for the pause to end. Such words may come late, when the pause is over.
  func standsStill() {
    guard isPaused, !standsStillSincePause, onEnd != nil else { return }
    standsStillSincePause = true
    reporter.paused()
  }

  // MARK: Ending

  private func timedOut() {
    hasTimedOut = true
    cancel()
  }

  private func cancel() {
    task?.cancel()
    context.stop()
    refuseOffers()
    if !graceTimer.isActive { graceTimer.start(after: cancellationGrace) }
  }

  private func refuseOffers() {
    let refused = offers
    offers = []
    for offer in refused { offer.continuation.resume(throwing: CancellationError()) }
  }

  private func ended(_ outcome: Outcome) {
    guard let onEnd = onEnd.take() else { return }
    timeoutTimer.cancel()
    graceTimer.cancel()
    refuseOffers()
    let ending: AttemptEnding
    switch outcome {
    // Finished is finished, even when it was asked to stop meanwhile.
    case .returned(let result): ending = AttemptEnding(.completed, result: result)
    case .threw where hasTimedOut:
      ending = AttemptEnding(.failed, reason: "timed out after \(describe(timeout ?? .zero))")
    case .threw(let description):
      if let stopReason {
        ending = AttemptEnding(.cancelled, reason: stopReason.rawValue)
      } else {
        ending = AttemptEnding(.failed, reason: String(description.prefix(Self.maxReasonCharacters)))
      }
    }
    onEnd()
    reporter.ended(ending)
  }

  private static let maxReasonCharacters = 1_000
}

@available(*, unavailable) extension ClosureAttempt: Sendable {}
