import Coordination
import CoordinationCore
import Primitives
import Reactor
import TestSupport

/// Runs nothing: the test says what becomes of each attempt, and sees what the worker asked for.
final class ScriptedExecutor: TaskExecutor {
  enum Order: Equatable, Sendable {
    case start(AttemptKey, checkpoint: JSONValue?)
    case pause(AttemptKey)
    case resume(AttemptKey)
    case stop(AttemptKey, StopReason)
    case checkpoint(AttemptKey)
  }

  let kinds: Set<String> = ["scripted"]
  private let orders: Exchange<Order>
  private let reporters: Reporters

  /// Where the test finds what is running.
  final class Reporters {
    var byKey: [AttemptKey: AttemptReporter] = [:]
    /// Bytes of output that each has flooded the worker with.
    var written: [AttemptKey: Int] = [:]
  }

  init(_ orders: Exchange<Order>, _ reporters: Reporters) {
    self.orders = orders
    self.reporters = reporters
  }

  func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop) {
    reporters.byKey[reporter.key] = reporter
    reporter.started()
    orders.put(.start(reporter.key, checkpoint: assignment.checkpoint?.data))
  }

  func pause(_ key: AttemptKey) {
    reporters.byKey[key]?.paused()
    orders.put(.pause(key))
  }

  func resume(_ key: AttemptKey) {
    reporters.byKey[key]?.resumed()
    orders.put(.resume(key))
  }

  func stop(_ key: AttemptKey, _ reason: StopReason) {
    orders.put(.stop(key, reason))
    reporters.byKey.removeValue(forKey: key)?.ended(AttemptEnding(.cancelled, reason: reason.rawValue))
  }

  func requestCheckpoint(_ key: AttemptKey) { orders.put(.checkpoint(key)) }
}

/// A worker on a thread of its own whose attempts do what the test says.
final class ScriptedWorker: Sendable {
  let orders = Exchange<ScriptedExecutor.Order>()
  private let states = Exchange<WorkerConnectionState>()
  private let thread: EventLoopThread
  private let runtime: LoopBound<WorkerRuntime>
  private let reporters: LoopBound<ScriptedExecutor.Reporters>

  init(_ settings: WorkerSettings) throws {
    let made = Exchange<Result<(LoopBound<WorkerRuntime>, LoopBound<ScriptedExecutor.Reporters>), any Error>>()
    let (orders, states) = (orders, states)
    thread = try EventLoopThread(name: "worker") { loop in
      made.put(
        Result {
          let reporters = ScriptedExecutor.Reporters()
          let runtime = try WorkerRuntime.start(settings, executors: [ScriptedExecutor(orders, reporters)], on: loop)
          runtime.onStateChange = { states.put($0) }
          return (LoopBound(runtime, to: loop), LoopBound(reporters, to: loop))
        })
    }
    (runtime, reporters) = try made.take().get()
  }

  private func onLoop<Value: Sendable>(
    _ body: @escaping @Sendable (WorkerRuntime, ScriptedExecutor.Reporters) -> Value
  ) -> Value {
    let answer = Exchange<Value>()
    let (runtime, reporters) = (runtime, reporters)
    thread.mailbox.post { answer.put(body(runtime.value, reporters.value)) }
    return answer.take()
  }

  /// Waits until the worker knows that it is registered, which is later than the coordinator knows it.
  func connected() {
    while states.take() != .connected {}
  }

  func end(_ key: AttemptKey, _ ending: AttemptEnding) {
    onLoop { $1.byKey.removeValue(forKey: key)?.ended(ending) }
  }

  /// Whether the worker takes more.
  func hasRoom(_ key: AttemptKey) -> Bool { onLoop { $1.byKey[key]?.hasRoom ?? false } }
  func write(_ key: AttemptKey, offset: Int, _ bytes: [UInt8]) {
    onLoop { $1.byKey[key]?.wrote(.stdout, offset: offset, bytes) }
  }

  func checkpoint(_ key: AttemptKey, _ data: JSONValue) { onLoop { $1.byKey[key]?.checkpointed(data) } }
  /// Writes output from now on until the attempt ends, as a command does that is faster than the line.
  func flood(_ key: AttemptKey, piece: Int, every interval: Duration) {
    onLoop { runtime, reporters in Self.write(key, piece, interval, runtime.loop, reporters) }
  }

  private static func write(
    _ key: AttemptKey, _ piece: Int, _ interval: Duration, _ loop: EventLoop, _ reporters: ScriptedExecutor.Reporters
  ) {
    guard let reporter = reporters.byKey[key] else { return }
    reporter.wrote(
      .stdout, offset: reporters.written[key] ?? 0, Array(repeating: UInt8(ascii: "x"), count: piece))
    reporters.written[key, default: 0] += piece
    _ = loop.schedule(after: interval) { write(key, piece, interval, loop, reporters) }
  }

  /// Ends an attempt, and tells how much another had written until then.
  func end(_ key: AttemptKey, _ ending: AttemptEnding, whenWritten other: AttemptKey) -> Int {
    onLoop { _, reporters in
      reporters.byKey.removeValue(forKey: key)?.ended(ending)
      return reporters.written[other] ?? 0
    }
  }

  /// Results and checkpoints on their way to the disk.
  var persisting: Int { onLoop { runtime, _ in runtime.report.persisting } }
  var queueStatus: QueueStatus { onLoop { runtime, _ in runtime.queueStatus } }
  func reconnect() { onLoop { runtime, _ in runtime.reconnect() } }
  func drain() { onLoop { runtime, _ in runtime.drain() } }
  var statistics: WorkerStatistics { onLoop { runtime, _ in runtime.statistics } }
  var sessionID: SessionID? { onLoop { runtime, _ in runtime.sessionID } }

  /// Ends the loop without a word to anybody, as a crash would.
  func vanish() {
    thread.stop()
    thread.join()
  }

  func stop() {
    onLoop { runtime, _ in runtime.stop() }
    vanish()
  }
}
