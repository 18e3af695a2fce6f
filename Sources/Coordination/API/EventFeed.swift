import Authentication
import CoordinationCore
import Primitives
import Reactor
import WebSocket

/// Sends what happens to everybody who listens at `/api/v1/events`.
///
/// What happened since the last round is written out once for all of them, ten times a second: a task that changed more
/// often meanwhile is told once, as it is. For a listener that has much unread, tasks wait here, each once however often it
/// changes; one that does not catch up in time is ended. It connects again, and lists what it has missed.
final class EventFeed {
  static let maxListeners = 1_000
  /// What may wait in one listener's connection, in bytes; what comes beyond it waits here.
  static let maxUnreadBytes = 1 << 20
  /// Tasks that may wait here for one listener.
  private static let maxMissed = 200_000
  private static let roundInterval: Duration = .milliseconds(100)
  private static let overviewInterval: Duration = .seconds(1)
  private static let keepAliveInterval: Duration = .seconds(15)

  private final class Listener {
    let stream: HTTPStream
    let run: String?
    let identity: Identity?
    /// What it has not been told for want of room, and in which order.
    var missed: [TaskID: TaskRecord] = [:]
    var missedOrder: [TaskID] = []
    var slowSince: Instant?

    init(_ stream: HTTPStream, run: String?, _ identity: Identity?) {
      self.stream = stream
      self.run = run
      self.identity = identity
    }

    var hasRoom: Bool { stream.pendingBytes < EventFeed.maxUnreadBytes }

    func miss(_ task: TaskRecord) {
      if missed.updateValue(task, forKey: task.id) == nil { missedOrder.append(task.id) }
    }
  }

  private let loop: EventLoop
  private let slowTimeout: Duration
  private let overview: () -> JSONObject
  private let worker: (WorkerID) -> JSONObject?
  private var listeners: [UInt64: Listener] = [:]
  private var lastListener: UInt64 = 0
  private var lastEvent: UInt64 = 0
  private var tasks: [TaskID: TaskRecord] = [:]
  /// Those of `tasks`, in the order of their first change.
  private var order: [TaskID] = []
  private var workers: [(event: String, id: WorkerID)] = []
  private var overviewDue: Instant = .zero
  private var keepAliveDue: Instant = .zero
  private lazy var timer = loop.makeTimer { [weak self] in self?.round() }

  /// - Parameter slowTimeout: how long a listener may lag behind.
  init(
    on loop: EventLoop, slowTimeout: Duration, overview: @escaping () -> JSONObject,
    worker: @escaping (WorkerID) -> JSONObject?
  ) {
    self.loop = loop
    self.slowTimeout = slowTimeout
    self.overview = overview
    self.worker = worker
  }

  var hasRoom: Bool { listenerCount < Self.maxListeners }
  var listenerCount: Int { listeners.count }

  /// - Parameter run: only tasks of this run are told; `nil`: all.
  func add(_ stream: HTTPStream, run: String?, _ identity: Identity?) {
    lastListener += 1
    let number = lastListener
    listeners[number] = Listener(stream, run: run, identity)
    stream.onClose = { [weak self] in self?.listeners[number] = nil }
    lastEvent += 1
    stream.send(ServerSentEvent.text("overview", id: lastEvent, overview()))
    if !timer.isActive {
      overviewDue = loop.now + Self.overviewInterval
      keepAliveDue = loop.now + Self.keepAliveInterval
      timer.start(after: Self.roundInterval)
    }
  }

  func note(_ notice: CoordinatorNotice) {
    guard !listeners.isEmpty else { return }
    switch notice {
    case .taskChanged(let task):
      if tasks.updateValue(task, forKey: task.id) == nil { order.append(task.id) }
    case .workerRegistered(let id, _, _): workers.append((event: "worker_connected", id: id))
    case .workerDisconnected(let id), .workerLost(let id): workers.append((event: "worker_disconnected", id: id))
    case .workerDraining(let id): workers.append((event: "worker_changed", id: id))
    case .staleAttemptRefused, .checkpointStored, .outputAppended: break
    }
  }

  /// Ends those whose keys are gone.
  func end(where isGone: (Identity?) -> Bool) {
    for (number, listener) in listeners where isGone(listener.identity) { end(number) }
  }

  func stop() {
    for number in listeners.keys.sorted() { end(number) }
    timer.cancel()
  }

  private func end(_ number: UInt64) { listeners.removeValue(forKey: number)?.stream.finish() }

  private func round() {
    let changes = order.compactMap { tasks[$0] }
    let appearances = workers
    tasks.removeAll(keepingCapacity: true)
    order.removeAll(keepingCapacity: true)
    workers.removeAll(keepingCapacity: true)
    guard !listeners.isEmpty else { return }
    for (number, listener) in listeners where !catchUp(listener) { end(number) }
    for change in changes { send(change) }
    for appearance in appearances {
      send(appearance.event, worker(appearance.id) ?? ["worker_id": .string(appearance.id.text)])
    }
    if loop.now >= overviewDue {
      overviewDue = loop.now + Self.overviewInterval
      send("overview", overview())
    }
    if loop.now >= keepAliveDue {
      keepAliveDue = loop.now + Self.keepAliveInterval
      for listener in listeners.values { listener.stream.send(ServerSentEvent.keepAlive) }
    }
    timer.start(after: Self.roundInterval)
  }

  private func send(_ task: TaskRecord) {
    lastEvent += 1
    var text: [UInt8]?
    for listener in listeners.values where listener.run == nil || listener.run == task.specification.run {
      guard listener.missed.isEmpty, listener.hasRoom else {
        listener.miss(task)
        continue
      }
      let bytes = text ?? ServerSentEvent.text("task_changed", id: lastEvent, task.presentation)
      text = bytes
      listener.stream.send(bytes)
    }
  }

  private func send(_ name: String, _ data: JSONObject) {
    lastEvent += 1
    let text = ServerSentEvent.text(name, id: lastEvent, data)
    for listener in listeners.values where listener.hasRoom { listener.stream.send(text) }
  }

  /// Tells a listener what it has missed, as far as it has room by now.
  /// - Returns: whether it may stay.
  private func catchUp(_ listener: Listener) -> Bool {
    guard !listener.missed.isEmpty else { return true }
    var told = 0
    while told < listener.missedOrder.count, listener.hasRoom {
      if let task = listener.missed.removeValue(forKey: listener.missedOrder[told]) {
        lastEvent += 1
        listener.stream.send(ServerSentEvent.text("task_changed", id: lastEvent, task.presentation))
      }
      told += 1
    }
    listener.missedOrder.removeFirst(told)
    if told > 0 { listener.slowSince = nil }
    guard !listener.missed.isEmpty else { return true }
    let since = listener.slowSince ?? loop.now
    listener.slowSince = since
    return loop.now - since < slowTimeout && listener.missed.count <= Self.maxMissed
  }
}

@available(*, unavailable) extension EventFeed: Sendable {}
