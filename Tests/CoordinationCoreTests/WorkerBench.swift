import CoordinationCore
import Primitives

/// A worker's core whose disk answers at once, and whose coordinator is scripted message by message.
final class WorkerBench {
  let core: WorkerCore
  let mode: ConnectionMode
  var now: Instant = .zero
  var persistsAtOnce = true
  /// Whether the connection takes no more; tell the core with `holdBack`.
  private(set) var isHeldBack = false
  var answersBackpressure = true
  private(set) var effects: [WorkerEffect] = []
  private(set) var sent: [Message] = []
  private(set) var disk: [String: [UInt8]] = [:]
  private var next: UInt64 = 0

  init(_ mode: ConnectionMode, _ change: (inout WorkerCoreConfiguration) -> Void = { _ in }) {
    self.mode = mode
    var configuration = WorkerCoreConfiguration(
      workerID: WorkerID(known: "w"), bootID: "b", capabilities: WorkerCapabilities(slots: 2, kinds: ["demo_task"]))
    change(&configuration)
    core = WorkerCore(configuration: configuration, random: SeededGenerator(seed: 1), at: now)
  }

  func handle(_ event: WorkerEvent) {
    feed(event)
    feed(.turnEnded)
  }

  private func feed(_ event: WorkerEvent) {
    var new: [WorkerEffect] = []
    core.handle(event, at: now, wall: WallTime(milliseconds: 1_700_000_000_000), into: &new)
    for effect in new {
      switch effect {
      case .send(let bytes): if let message = try? Envelope.open(bytes, mode: mode) { sent.append(message) }
      case .persist(let key, let body):
        guard persistsAtOnce else { break }
        disk[key] = body
        feed(.persisted(key: key))
      case .forget(let key): disk[key] = nil
      case .reportBackpressure: if answersBackpressure { feed(.sendingHeldBack(isHeldBack)) }
      case .log: continue
      default: break
      }
      effects.append(effect)
    }
  }

  /// Connects and registers; in a session with the defaults of our own coordinator.
  func register(session: String = "s", resumed: Bool = false, handled: Int64 = 0) {
    if core.state == .disconnected { handle(.start) }
    handle(.connected(mode))
    say(.welcome, ["worker_id": "w"])
    switch mode {
    case .legacy: say(.registrationAck, ["worker_id": "w"])
    case .session:
      if !resumed { next = 0 }
      say(
        .registrationAck,
        ["session_id": .string(session), "resumed": .bool(resumed), "handled": .integer(handled), "lease_s": 30.0])
    }
  }

  func say(_ kind: MessageKind, _ fields: JSONObject = [:], reliably: Bool = false, acknowledging: UInt64 = 0) {
    let body = Message(kind, fields).body
    guard mode == .session else { return handle(.received(body)) }
    if reliably { next += 1 }
    handle(.received(Envelope.seal(body, sequence: reliably ? next : nil, acknowledgement: acknowledging)))
  }

  /// Assigns a demo task, and answers what the worker says about its start.
  func assign(_ id: String, attempt: Int = 1, config: JSONObject = ["type": "demo_task", "iterations": 3]) -> AttemptKey
  {
    switch mode {
    case .legacy:
      say(.taskAssignment, ["task_id": .string(id), "config": .object(config)])
      return AttemptKey(TaskID(known: id), 0)
    case .session:
      let task: JSONObject = ["kind": "demo_task", "input": .object(config)]
      say(
        .taskAssignment, ["task_id": .string(id), "attempt": .integer(Int64(attempt)), "task": .object(task)],
        reliably: true)
      return AttemptKey(TaskID(known: id), attempt)
    }
  }

  /// What was sent since this was last asked, without the worker's name and the time stamps.
  func messages() -> [JSONObject] {
    defer { sent = [] }
    return sent.map { message in
      var object: JSONObject = ["type": .string(message.kind.name)]
      for member in message.fields.members where member.key != "timestamp" && member.key != "worker_id" {
        object[member.key] = member.value
      }
      return object
    }
  }

  func takeEffects() -> [WorkerEffect] {
    defer { effects = [] }
    return effects
  }

  func holdBack(_ isHeldBack: Bool) {
    self.isHeldBack = isHeldBack
    handle(.sendingHeldBack(isHeldBack))
  }

  func pass(_ duration: Duration) {
    now += duration
    handle(.tick)
  }
}
