public import Authentication
public import Primitives

/// One attempt of one task.
public struct AttemptKey: Hashable, Sendable, CustomStringConvertible {
  public let taskID: TaskID
  public let attempt: Int

  public init(_ taskID: TaskID, _ attempt: Int) {
    self.taskID = taskID
    self.attempt = attempt
  }

  public var description: String { "\(taskID)/\(attempt)" }
}

/// Why an attempt is to be stopped.
public enum StopReason: String, Sendable {
  case cancelled = "cancelled on request"
  case superseded = "the coordinator gave the task to someone else"
  case leaseExpired = "the lease ran out"
  case stopping = "the worker is stopping"
  /// Politely: the attempt may write a last checkpoint. It is handed back for others to go on.
  case draining = "the worker is draining"
}

/// What happens to a worker's core.
public enum WorkerEvent: Equatable, Sendable {
  case start
  /// The upgrade is done, in the mode the coordinator chose.
  case connected(ConnectionMode, channel: ChannelSecret? = nil)
  /// - Parameter retryAfter: the coordinator's own wish, when it gave one.
  case connectFailed(String, retryAfter: Duration?)
  case received([UInt8])
  /// - Parameter retryAfter: the coordinator's own wish, when it gave one.
  case disconnected(String, retryAfter: Duration? = nil)
  /// What the coordinator must get, and has not acknowledged, found on disk when the worker started; oldest first.
  case restored(key: String, body: [UInt8])
  /// What `WorkerEffect.persist` asked for is on the disk.
  case persisted(key: String)
  case attemptStarted(AttemptKey)
  case attemptPaused(AttemptKey)
  case attemptResumed(AttemptKey)
  /// From 0 to 1.
  case attemptProgressed(AttemptKey, Double)
  case attemptCheckpointed(AttemptKey, JSONValue)
  case attemptWrote(AttemptKey, OutputStream, offset: Int, [UInt8])
  case attemptEnded(AttemptKey, AttemptEnding)
  /// A service author's own message.
  case send(Message, reliably: Bool)
  /// The answer to `WorkerEffect.readTelemetry`: the core's report, with what the shell knows.
  case telemetryRead(WorkerReport)
  /// Whether the connection has as much to write as it should, so that what is not urgent waits here instead. Told when
  /// it changes, and in answer to `WorkerEffect.reportBackpressure`.
  case sendingHeldBack(Bool)
  /// Drop the connection and connect again now.
  case reconnect
  /// Take no more tasks; stop once those that run have ended and been acknowledged. Those that still run after
  /// `WorkerCoreConfiguration.drainTimeout` are asked for a checkpoint, ended and handed back.
  case drain
  /// Stop what runs and then the worker.
  case stop
  case tick
  case turnEnded
}

/// What the shell must do for the core, in the order given.
public enum WorkerEffect: Equatable, Sendable {
  case connect
  case send([UInt8])
  /// Much was sent and more waits: say with `WorkerEvent.sendingHeldBack` whether the connection takes it.
  case reportBackpressure
  case close(code: UInt16, reason: String)
  case persist(key: String, [UInt8])
  case forget(key: String)
  case startAttempt(Assignment)
  case pauseAttempt(AttemptKey)
  case resumeAttempt(AttemptKey)
  case stopAttempt(AttemptKey, StopReason)
  case requestCheckpoint(AttemptKey)
  /// Attempts may run until then, on this machine's monotonic clock.
  case leaseRenewed(until: Instant)
  case stateChanged(WorkerConnectionState)
  /// Telemetry is due: complete the core's report and say so with `WorkerEvent.telemetryRead`.
  case readTelemetry
  /// A message of a kind that the core does not know: a service author's.
  case message(Message)
  case log(LogEntry)
  /// Only when configured.
  case trace(WorkerTrace)
  /// Everything has ended.
  case stopped
}

/// What a history must know of sessions.
public enum WorkerTrace: Equatable, Sendable {
  case joined(SessionID, resumed: Bool)
  /// A numbered message is about to take effect.
  case handled(SessionID, sequence: UInt64, MessageKind)
  case verdict(AttemptKey, SyncVerdict)
}
