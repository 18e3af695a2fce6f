public import CoordinationCore
public import Primitives
public import Reactor

/// Executes attempts of some kinds of work for a worker. Called on the worker's loop, and must not block it.
public protocol TaskExecutor: AnyObject {
  /// The kinds of work it can do; no two executors of a worker may share one.
  var kinds: Set<String> { get }

  /// Begins an attempt. Whatever becomes of it is told to `reporter`: `started` when it runs, and `ended` exactly once,
  /// even when it could not be started.
  func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop)

  /// Asks an attempt to stand still, to go on, or to end; the outcome is reported. An attempt that is unknown or has
  /// ended is ignored. Anything but `.cancelled` and `.draining` means that it must end at once, even if it was asked to
  /// end politely before.
  func pause(_ key: AttemptKey)
  func resume(_ key: AttemptKey)
  func stop(_ key: AttemptKey, _ reason: StopReason)

  /// Asks for a checkpoint now, from those that can take one on request.
  func requestCheckpoint(_ key: AttemptKey)

  /// Every attempt may run until `deadline`; one that runs in a process of its own must end by then unless this is
  /// called again, even if the worker itself no longer runs.
  func leaseRenewed(until deadline: Instant)

  /// The worker can take checkpoints and output again after `AttemptReporter.hasRoom` was false.
  func roomAvailable()
}

extension TaskExecutor {
  public func requestCheckpoint(_ key: AttemptKey) {}
  public func leaseRenewed(until deadline: Instant) {}
  public func roomAvailable() {}
}

/// Where an executor tells what becomes of one attempt. Call on the worker's loop; words after `ended` are ignored.
public final class AttemptReporter {
  public let key: AttemptKey
  private var report: ((WorkerEvent) -> Void)?
  private let room: () -> Bool

  /// - Parameters:
  ///   - room: whether more checkpoints and output may be handed over now.
  ///   - report: takes the events; not called after the attempt's end.
  public init(_ key: AttemptKey, room: @escaping () -> Bool, report: @escaping (WorkerEvent) -> Void) {
    self.key = key
    self.room = room
    self.report = report
  }

  /// Whether the worker can take more; while it cannot, stop reading from whatever produces checkpoints and output, and
  /// go on when `TaskExecutor.roomAvailable` is called.
  public var hasRoom: Bool { room() }

  public func started() { report?(.attemptStarted(key)) }
  public func paused() { report?(.attemptPaused(key)) }
  public func resumed() { report?(.attemptResumed(key)) }
  /// - Parameter progress: from 0 to 1.
  public func progressed(_ progress: Double) { report?(.attemptProgressed(key, progress)) }
  public func checkpointed(_ data: JSONValue) { report?(.attemptCheckpointed(key, data)) }
  /// - Parameter offset: where in the stream `bytes` begin, in bytes from its start.
  public func wrote(_ stream: OutputStream, offset: Int, _ bytes: [UInt8]) {
    report?(.attemptWrote(key, stream, offset: offset, bytes))
  }

  /// Hands on what another reporter was told of this attempt.
  func pass(_ event: WorkerEvent) { report?(event) }

  public func ended(_ ending: AttemptEnding) {
    let report = self.report
    self.report = nil
    report?(.attemptEnded(key, ending))
  }
}

@available(*, unavailable) extension AttemptReporter: Sendable {}
