import CoordinationCore
import Primitives

/// One member's cores whose store and whose others are scripted: what they are asked is kept, a test answers.
final class ClusterBench {
  let cluster: ClusterCore
  var now: Instant = .zero
  let wall = WallTime(milliseconds: 1_700_000_000_000)
  private(set) var writes: [StoreWrite] = []
  private(set) var answers: [RequestID: CoordinatorAnswer] = [:]
  private(set) var closes: [(connection: UInt64, reason: String)] = []
  /// Whose files and which tasks were asked for.
  private(set) var searches: [(seeker: FileSeeker, digests: [FileDigest])] = []
  private(set) var lookups: [(request: RequestID, tasks: [TaskID])] = []
  /// What was asked of the store and of others, in order; taken by `asked`.
  private var questions: [ClusterEffect] = []
  private var sent: [UInt64: [Message]] = [:]
  private var numbers: [UInt64: UInt64] = [:]
  /// Commits that are under way, where a test has the store take its time.
  private var underWay: [BatchID] = []
  var holdsCommits = false
  /// What each worker has been sent, and acknowledges with what it says next.
  private var heard: [UInt64: UInt64] = [:]

  init(exclusive: Bool = false, others: [Int64] = []) throws {
    var configuration = CoordinatorConfiguration()
    configuration.isShared = true
    configuration.exclusiveLeases = exclusive
    let core = try CoordinatorCore(configuration: configuration, random: SeededGenerator(seed: 1), at: now)
    cluster = ClusterCore(core, member: MemberID(1), joinedAt: now, at: now)
    handle(.coordinator(.tick))
    renew(others: others)
    _ = asked()
  }

  func renew(others: [Int64] = [], takenOver: [UnfinishedTask] = []) {
    let members = ([1] + others).map { Member(id: MemberID($0), name: "m\($0)", address: "") }
    handle(.renewed(MembershipRenewal(members: members, takenOver: takenOver)))
  }

  func handle(_ event: ClusterEvent) {
    feed(event)
    feed(.coordinator(.turnEnded))
  }

  private func feed(_ event: ClusterEvent) {
    var effects: [ClusterEffect] = []
    cluster.handle(event, at: now, wall: wall, into: &effects)
    for effect in effects {
      switch effect {
      case .coordinator(.send(let id, let bytes)):
        guard let message = try? Envelope.open(bytes, mode: .session) else { continue }
        sent[id.number, default: []].append(message)
        heard[id.number] = message.sequence ?? heard[id.number]
      case .coordinator(.close(let id, _, let reason)): closes.append((id.number, reason))
      case .coordinator(.commit(let id, let batch)):
        writes += batch
        if holdsCommits { underWay.append(id) } else { feed(.coordinator(.committed(id))) }
      case .coordinator(.answer(let id, let answer)): answers[id] = answer
      case .coordinator(.findFiles(let seeker, let digests)): searches.append((seeker, digests))
      case .coordinator(.findTasks(let id, let tasks)): lookups.append((id, tasks))
      case .coordinator: break
      default: questions.append(effect)
      }
    }
  }

  /// The store has done what was under way.
  func commit() {
    holdsCommits = false
    let ids = underWay
    underWay = []
    for id in ids { handle(.coordinator(.committed(id))) }
  }

  func asked() -> [ClusterEffect] {
    defer { questions = [] }
    return questions
  }

  func tick(after duration: Duration) {
    now += duration
    handle(.coordinator(.tick))
  }

  func request(_ number: UInt64, _ request: CoordinatorRequest) {
    handle(.coordinator(.request(RequestID(number), request)))
  }

  // MARK: Workers

  /// - Parameter session: the one that it had over the connection with this number, and would take up again.
  func knock(
    _ connection: UInt64, _ worker: String, boot: String = "b", slots: Int = 2, kinds: [String] = ["work"],
    labels: JSONObject = [:], session: (id: JSONValue, over: UInt64)? = nil
  ) {
    numbers[connection] = 0
    handle(
      .coordinator(.connected(ConnectionID(connection), WorkerID(known: worker), .session, remoteAddress: "here")))
    var fields: JSONObject = [
      "boot_id": .string(boot),
      "capabilities": [
        "slots": .integer(Int64(slots)), "kinds": .array(kinds.map(JSONValue.string)), "labels": .object(labels),
      ],
    ]
    if let session {
      fields["session_id"] = session.id
      fields["handled"] = .integer(Int64(clamping: heard[session.over] ?? 0))
    }
    say(connection, .registration, fields)
  }

  /// A worker that holds nothing anywhere, registered.
  func admit(
    _ connection: UInt64, _ worker: String, slots: Int = 2, kinds: [String] = ["work"], labels: JSONObject = [:]
  ) {
    knock(connection, worker, slots: slots, kinds: kinds, labels: labels)
    handle(.gathered(WorkerID(known: worker), Gathering()))
    synchronise(connection)
    _ = replies(connection)
  }

  func synchronise(_ connection: UInt64, holding tasks: [JSONValue] = []) {
    say(connection, .stateSync, ["tasks": .array(tasks), "final": true], reliably: true)
  }

  func say(_ connection: UInt64, _ kind: MessageKind, _ fields: JSONObject = [:], reliably: Bool = false) {
    if reliably { numbers[connection, default: 0] += 1 }
    let bytes = Envelope.seal(
      Message(kind, fields).body, sequence: reliably ? numbers[connection] : nil,
      acknowledgement: heard[connection] ?? 0)
    handle(.coordinator(.received(ConnectionID(connection), bytes)))
  }

  func replies(_ connection: UInt64) -> [Message] { sent.removeValue(forKey: connection) ?? [] }
}

/// A task of the store, queued or held, with how its newest attempt stands.
func stored(
  _ id: String, _ status: TaskStatus = .queued, attempt: Int = 0, by worker: String? = nil, kind: String = "work",
  outcome: AttemptRecord.Outcome = .running
) -> UnfinishedTask {
  var state = TaskState(status: status)
  state.attempt = attempt
  state.workerID = worker.map(WorkerID.init(known:))
  let record = TaskRecord(
    id: TaskID(known: id), specification: TaskSpecification(name: id, work: .custom(kind: kind, input: [:])),
    submittedAt: WallTime(milliseconds: 1), state: state)
  let newest = worker.map {
    var newest = AttemptRecord(
      taskID: record.id, attempt: attempt, workerID: WorkerID(known: $0), startedAt: WallTime(milliseconds: 2),
      resumedFrom: nil)
    newest.outcome = outcome
    return newest
  }
  return UnfinishedTask(task: record, checkpoint: nil, attempt: newest)
}
