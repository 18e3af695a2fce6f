import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor
import Storage
import TestSupport

/// A coordinator on a thread of its own, asked synchronously. Every wait is bounded by a minute.
final class TestCoordinator: Sendable {
  private let thread: EventLoopThread
  private let runtime: LoopBound<CoordinatorRuntime>
  let address: SocketAddress
  let url: String
  private let notices = Exchange<CoordinatorNotice>()

  init(_ adjust: @Sendable (inout CoordinatorSettings) -> Void = { _ in }) throws {
    var settings = CoordinatorSettings()
    settings.host = "127.0.0.1"
    settings.port = 0
    settings.log = Trace.log("coordinator")
    adjust(&settings)
    let made = Exchange<Result<(LoopBound<CoordinatorRuntime>, SocketAddress, String), any Error>>()
    let notices = notices
    let fixed = settings
    thread = try EventLoopThread(name: "coordinator") { loop in
      CoordinatorRuntime.start(fixed, on: loop) { result in
        made.put(
          result.map { runtime in
            _ = runtime.observe { notices.put($0) }
            return (LoopBound(runtime, to: loop), runtime.address, runtime.url)
          }.mapError { $0 })
      }
    }
    do { (runtime, address, url) = try made.take().get() } catch {
      thread.stop()
      thread.join()
      throw error
    }
  }

  func onLoop<Value: Sendable>(_ body: @escaping @Sendable (CoordinatorRuntime, Exchange<Value>) -> Void) -> Value {
    let answer = Exchange<Value>()
    let runtime = runtime
    thread.mailbox.post { body(runtime.value, answer) }
    return answer.take()
  }

  func ask(_ request: CoordinatorRequest) -> CoordinatorAnswer {
    onLoop { runtime, answer in runtime.request(request) { answer.put($0) } }
  }

  /// Submits one task that does what a `ScriptedWorker` is told.
  func submit(_ name: String, retries: Int = 0) throws -> TaskID {
    let id = try TaskID(name)
    let specification = TaskSpecification(name: name, work: .custom(kind: "scripted", input: [:]), retries: retries)
    guard ask(.submit([TaskSubmission(id: id, specification)])) == .submitted([id]) else { fatalError("not submitted") }
    return id
  }

  func detail(_ id: TaskID) throws -> TaskDetail {
    let detail: Result<TaskDetail?, StoreError> = onLoop { runtime, answer in runtime.task(id) { answer.put($0) } }
    guard let detail = try detail.get() else { fatalError("no task \(id)") }
    return detail
  }

  var workers: [WorkerSummary] { onLoop { runtime, answer in answer.put(runtime.workerSummaries) } }

  /// The next notice that `matches`; those before it are passed over.
  func notice<Value>(_ matches: (CoordinatorNotice) -> Value?) -> Value {
    while true { if let value = matches(notices.take()) { return value } }
  }

  /// Waits until the task has ended.
  func ended(_ id: TaskID) throws -> TaskDetail {
    _ = notice { notice -> TaskRecord? in
      if case .taskChanged(let task) = notice, task.id == id, task.state.status.isTerminal { task } else { nil }
    }
    return try detail(id)
  }

  func registered(_ worker: String) -> (session: SessionID, resumed: Bool) {
    notice { notice in
      guard case .workerRegistered(let id, let session, let resumed) = notice, id.text == worker else { return nil }
      return (session, resumed)
    }
  }

  func stop() {
    let _: Bool = onLoop { runtime, answer in runtime.stop { answer.put(true) } }
    thread.stop()
    thread.join()
  }
}

/// Short times, so that what takes half a minute in production takes half a second here.
extension CoordinatorSettings {
  mutating func useShortTimes(lease: Duration = .seconds(3)) {
    core.heartbeatInterval = .milliseconds(100)
    core.heartbeatTimeout = .milliseconds(800)
    core.lease = lease
  }
}

extension WorkerSettings {
  static func short(_ id: String, _ url: String, slots: Int = 1) -> WorkerSettings {
    var settings = WorkerSettings()
    settings.workerID = id
    settings.coordinator = url
    settings.slots = slots
    settings.heartbeatInterval = .milliseconds(100)
    settings.heartbeatTimeout = .milliseconds(800)
    settings.reconnectDelay = .milliseconds(50)
    settings.maxReconnectDelay = .milliseconds(200)
    settings.log = Trace.log(id)
    return settings
  }
}

/// What the fleet logs, on standard error, when `LIFELINE_TRACE` is set: to see why a test failed.
enum Trace {
  private static let isOn = getenv("LIFELINE_TRACE") != nil

  static func log(_ name: String) -> @Sendable (LogEntry) -> Void {
    guard isOn else { return { _ in } }
    return { entry in
      let facts = entry.facts.map { " \($0.key)=\($0.value)" }.joined()
      let line = "\(MonotonicClock.now().nanoseconds / 1_000_000) \(name) \(entry.level): \(entry.message)\(facts)\n"
      _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
    }
  }
}
