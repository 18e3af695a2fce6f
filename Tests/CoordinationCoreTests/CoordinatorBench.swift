import CoordinationCore
import Primitives

/// A coordinator's core whose store commits at once (or when told), and whose peers are scripted message by message.
final class CoordinatorBench {
  let core: CoordinatorCore
  var now: Instant = .zero
  /// Every write that was ever committed.
  private(set) var writes: [StoreWrite] = []
  private(set) var notices: [CoordinatorNotice] = []
  private(set) var logs: [LogEntry] = []
  private(set) var answers: [CoordinatorAnswer] = []
  private(set) var closes: [(connection: UInt64, code: UInt16, reason: String)] = []
  /// Otherwise a test says when.
  var commitsAtOnce = true
  private(set) var pendingCommits: [BatchID] = []
  private var sent: [UInt64: [Message]] = [:]
  private var modes: [UInt64: ConnectionMode] = [:]
  private var numbers: [UInt64: UInt64] = [:]
  private var requests: UInt64 = 0

  init(
    _ configuration: CoordinatorConfiguration = CoordinatorConfiguration(), handlers: [any MessageHandler] = [],
    unfinished: [UnfinishedTask] = [], tests: [TestRecord] = []
  ) throws(HandlerClash) {
    core = try CoordinatorCore(
      configuration: configuration, unfinished: unfinished, tests: tests, handlers: handlers,
      random: SeededGenerator(seed: 1), at: now)
  }

  func handle(_ event: CoordinatorEvent) {
    feed(event)
    feed(.turnEnded)
  }

  private func feed(_ event: CoordinatorEvent) {
    var effects: [CoordinatorEffect] = []
    core.handle(event, at: now, wall: WallTime(milliseconds: 1_700_000_000_000), into: &effects)
    for effect in effects {
      switch effect {
      case .send(let id, let bytes):
        let mode = modes[id.number] ?? .legacy
        if let message = try? Envelope.open(bytes, mode: mode) { sent[id.number, default: []].append(message) }
      case .close(let id, let code, let reason): closes.append((connection: id.number, code: code, reason: reason))
      case .commit(let id, let batch):
        writes += batch
        if commitsAtOnce { feed(.committed(id)) } else { pendingCommits.append(id) }
      case .findTasks(let request, _): feed(.found(request, []))
      case .answer(_, let answer): answers.append(answer)
      case .notice(let notice): notices.append(notice)
      case .log(let entry): logs.append(entry)
      case .trace: break
      case .findFiles, .gather, .handedOver, .handOverRefused: break
      }
    }
  }

  /// Commits what waits to be, and whatever follows from that.
  func commitAll() {
    while let batch = pendingCommits.first {
      pendingCommits.removeFirst()
      handle(.committed(batch))
    }
  }

  func connect(_ connection: UInt64, _ worker: String, _ mode: ConnectionMode) {
    modes[connection] = mode
    numbers[connection] = 0
    handle(.connected(ConnectionID(connection), WorkerID(known: worker), mode, remoteAddress: "peer:\(connection)"))
  }

  func disconnect(_ connection: UInt64) { handle(.disconnected(ConnectionID(connection))) }

  /// What was sent to a peer since this was last asked, without the time stamps.
  func replies(_ connection: UInt64) -> [JSONObject] {
    let messages = sent.removeValue(forKey: connection) ?? []
    return messages.map { message in
      var object: JSONObject = ["type": .string(message.kind.name)]
      for member in message.fields.members where member.key != "timestamp" { object[member.key] = member.value }
      return object
    }
  }

  func rawReplies(_ connection: UInt64) -> [Message] { sent.removeValue(forKey: connection) ?? [] }

  /// The bytes of a peer, as they are.
  func say(_ connection: UInt64, _ text: String) { handle(.received(ConnectionID(connection), Array(text.utf8))) }

  /// A session-mode peer's message, sealed; numbered when it is to be reliable.
  func say(
    _ connection: UInt64, _ kind: MessageKind, _ fields: JSONObject = [:], reliably: Bool = false,
    acknowledging: UInt64 = 0
  ) {
    var number: UInt64?
    if reliably {
      numbers[connection, default: 0] += 1
      number = numbers[connection]
    }
    say(connection, sequence: number, acknowledging: acknowledging, Message(kind, fields))
  }

  func say(_ connection: UInt64, sequence: UInt64?, acknowledging: UInt64 = 0, _ message: Message) {
    let bytes = Envelope.seal(message.body, sequence: sequence, acknowledgement: acknowledging)
    handle(.received(ConnectionID(connection), bytes))
  }

  /// A session-mode worker that has registered and said that it holds nothing.
  func admit(_ connection: UInt64, _ worker: String, boot: String = "b", slots: Int = 4, labels: JSONObject = [:]) {
    connect(connection, worker, .session)
    let capabilities: JSONObject = [
      "slots": .integer(Int64(slots)), "kinds": ["work", "command"], "labels": .object(labels),
    ]
    say(connection, .registration, ["boot_id": .string(boot), "capabilities": .object(capabilities)])
    say(connection, .stateSync, ["tasks": .array([]), "final": true], reliably: true)
    _ = replies(connection)
  }

  func submit(_ id: String, _ specification: TaskSpecification) {
    request(.submit([TaskSubmission(id: TaskID(known: id), specification)]))
  }

  func request(_ request: CoordinatorRequest) {
    requests += 1
    handle(.request(RequestID(requests), request))
  }

  func tick(after duration: Duration) {
    now += duration
    handle(.tick)
  }

  func state(_ id: String) -> TaskState? {
    for case .update(TaskID(known: id), let state) in writes.reversed() { return state }
    return nil
  }
}

let demoTask = TaskSpecification(name: "demo", work: .custom(kind: "demo_task", input: ["iterations": 3]))
