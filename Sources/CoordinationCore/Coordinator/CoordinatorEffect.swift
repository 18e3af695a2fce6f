/// One connection of this process, numbered by whoever accepted it.
public struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
  public let number: UInt64
  public init(_ number: UInt64) { self.number = number }
  public var description: String { "\(number)" }
}

/// A question somebody asked, numbered by whoever asked it; the answer names it.
public struct RequestID: Hashable, Sendable {
  public let number: UInt64
  public init(_ number: UInt64) { self.number = number }
}

/// Who waits until it is known which files there are: a submission, or a worker with a result.
public enum FileSeeker: Hashable, Sendable {
  case request(RequestID)
  case worker(ConnectionID)
}

/// A group of writes that is committed together; numbered from 1.
public struct BatchID: Hashable, Sendable {
  public let number: UInt64
}

public enum LogLevel: Int, Comparable, Sendable, CaseIterable {
  case debug, info, warning, error, critical
  public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// Constant words and the facts beside them.
public struct LogEntry: Equatable, Sendable {
  public let level: LogLevel
  public let message: String
  public let facts: [(key: String, value: String)]

  public init(_ level: LogLevel, _ message: String, _ facts: KeyValuePairs<String, String> = [:]) {
    self.level = level
    self.message = message
    self.facts = facts.map { (key: $0.key, value: $0.value) }
  }

  public static func == (left: LogEntry, right: LogEntry) -> Bool {
    left.level == right.level && left.message == right.message
      && left.facts.elementsEqual(right.facts) { $0.key == $1.key && $0.value == $1.value }
  }
}

/// A task as its submitter hands it over.
public struct TaskSubmission: Equatable, Sendable {
  /// `nil`: the coordinator makes one up. Choosing it makes submitting again after a lost answer harmless.
  public var id: TaskID?
  public var specification: TaskSpecification

  public init(id: TaskID? = nil, _ specification: TaskSpecification) {
    self.id = id
    self.specification = specification
  }
}

/// What a client or an embedding program asks.
public enum CoordinatorRequest: Equatable, Sendable {
  case submit([TaskSubmission])
  case cancel(TaskID)
  case pause(TaskID)
  case resume(TaskID)
  /// Asks the worker that holds the task for a checkpoint now.
  case checkpoint(TaskID)
  /// Asks a worker, or all that are connected, for telemetry now. It arrives, or not, as telemetry does.
  case telemetry(WorkerID?)
  /// Asks a worker to leave: it is given nothing more, and does as after SIGTERM.
  case drainWorker(WorkerID)
  /// Tests that ended well, for which the coordinator cannot tell it by itself: one task ran several of them.
  case recordDurations([TestDuration])
  /// Does not run a test any more; whatever of it waits ends.
  case quarantine(TestName, reason: String)
  /// Runs a test again, and holds nothing against it.
  case release(TestName)
  case recordRun(RunPart)
}

/// How long a test took.
public struct TestDuration: Equatable, Sendable {
  public var name: TestName
  public var duration: Duration

  public init(_ name: TestName, _ duration: Duration) {
    self.name = name
    self.duration = duration
  }
}

/// The answer to a request, given once everything it promises is durable.
public enum CoordinatorAnswer: Equatable, Sendable {
  case submitted([TaskID])
  case done
  /// The task has ended or was never known; the store can tell which.
  case notLive(TaskID)
  case refused(String)
}

/// What happens to the fleet, for whoever watches. Told once it is durable.
public enum CoordinatorNotice: Equatable, Sendable {
  case taskChanged(TaskRecord)
  case workerRegistered(WorkerID, session: SessionID, resumed: Bool)
  case workerDisconnected(WorkerID)
  /// A worker is leaving, or was asked to.
  case workerDraining(WorkerID)
  /// A worker was away for too long, or its lease ran out; others may have its tasks.
  case workerLost(WorkerID)
  /// A late word from an attempt that may no longer write: refused, and never recorded.
  case staleAttemptRefused(TaskID, attempt: Int, WorkerID, MessageKind)
  /// The newest attempt wrote a checkpoint.
  case checkpointStored(TaskID, CheckpointKey)
  case outputAppended(TaskID, attempt: Int, OutputStream, offset: Int, bytes: [UInt8])
}

/// What the shell must do for the core, in the order given.
public enum CoordinatorEffect: Equatable, Sendable {
  case send(ConnectionID, [UInt8])
  case close(ConnectionID, code: UInt16, reason: String)
  case commit(BatchID, [StoreWrite])
  /// Look for tasks in the store and say what is there with `CoordinatorEvent.found`.
  case findTasks(RequestID, [TaskID])
  /// Look for files in a shared store, put those that are there into `CoordinatorCore.files`, and say so with
  /// `CoordinatorEvent.filesFound`.
  case findFiles(FileSeeker, [FileDigest])
  case answer(RequestID, CoordinatorAnswer)
  case notice(CoordinatorNotice)
  case log(LogEntry)
  /// A worker wants to register: fetch what other coordinators have of it, and say so with `CoordinatorEvent.gathered`.
  case gather(ConnectionID, WorkerID, bootID: String?)
  /// Everything that was held of a worker is the member's, durably.
  case handedOver(WorkerID, to: MemberID)
  /// The worker's own connection is here: whoever came to the member is another process of its name.
  case handOverRefused(WorkerID, to: MemberID, reason: String)
  /// Only when configured; at the moment it happens, unlike a notice, which waits for the disk.
  case trace(CoordinatorTrace)
}

/// What a history must know of sessions.
public enum CoordinatorTrace: Equatable, Sendable {
  case registered(WorkerID, SessionID, resumed: Bool)
  /// What it says it can do; before it is given anything.
  case offered(WorkerID, WorkerCapabilities)
  /// A numbered message is about to take effect.
  case handled(WorkerID, SessionID, sequence: UInt64, MessageKind)
}

/// What happens to the core.
public enum CoordinatorEvent: Equatable, Sendable {
  /// A worker's upgrade is done.
  case connected(ConnectionID, WorkerID, ConnectionMode, remoteAddress: String, security: LinkSecurity = .open)
  /// A text message, already known to be UTF-8.
  case received(ConnectionID, [UInt8])
  case disconnected(ConnectionID)
  /// Whether a connection has as much to write as it should, so that assignments wait here instead.
  case sendingHeldBack(ConnectionID, Bool)
  case committed(BatchID)
  case request(RequestID, CoordinatorRequest)
  /// Which of the tasks asked for exist.
  case found(RequestID, [TaskID])
  /// The store could not say; the request is forgotten, and whoever made it has been told.
  case lookupFailed(RequestID)
  /// Which of the files asked for are there, the catalogue says now.
  case filesFound(FileSeeker)
  /// Tasks of a shared store that are this coordinator's from now on.
  case adopted([UnfinishedTask])
  /// All that others had of the worker behind a connection; with a refusal it may not register.
  case gathered(ConnectionID, [UnfinishedTask], refusal: String? = nil)
  /// What is held against tests by now, as other coordinators have left it.
  case testFates([TestRecord])
  /// A worker has come to another coordinator.
  case handOver(WorkerID, bootID: String?, to: MemberID)
  /// The coordinator is about to end: no task is given out or taken back any more. Whoever is started next decides.
  case drain
  /// Time has passed; see `CoordinatorCore.nextDeadline`.
  case tick
  /// The loop's turn is over: give out tasks, cut a batch, acknowledge.
  case turnEnded
}
