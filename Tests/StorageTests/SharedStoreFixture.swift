import CoordinationCore
import PostgresStorage
import Primitives
import Storage
import TestSupport
import Testing

/// What a store signals, in its order.
typealias Signals = EventLog<StoreSignal>

extension SharedTaskStore {
  func join(_ name: String, lease: Duration = .seconds(60)) async throws -> MemberID {
    try await withCheckedContinuation { continuation in
      join(name: name, address: "ws://\(name)", lease: lease) { continuation.resume(returning: $0) }
    }.get()
  }

  @discardableResult
  func renew() async throws -> MembershipRenewal {
    try await withCheckedContinuation { continuation in renew { continuation.resume(returning: $0) } }.get()
  }

  func leave() async { await withCheckedContinuation { continuation in leave { continuation.resume() } } }

  func poolNeeds() async throws -> [TaskNeeds] {
    try await withCheckedContinuation { continuation in poolNeeds { continuation.resume(returning: $0) } }.get()
  }

  func poolStatus() async throws -> [Priority: PoolLine] {
    try await withCheckedContinuation { continuation in poolStatus { continuation.resume(returning: $0) } }.get()
  }

  func claim(
    _ wishes: [ClaimWish], limit: Int = 100, overdueBefore: WallTime? = nil
  ) async throws -> [UnfinishedTask] {
    try await withCheckedContinuation { continuation in
      claim(wishes, limit: limit, overdueBefore: overdueBefore) { continuation.resume(returning: $0) }
    }.get()
  }

  /// Claims up to so many of the usual kind, by name.
  func claimNames(_ count: Int = 100) async throws -> [String] {
    try await claim([ClaimWish(usualNeeds, count: count)]).map(\.task.id.text)
  }

  func locate(_ id: TaskID) async throws -> TaskPlace {
    try await withCheckedContinuation { continuation in locate(id) { continuation.resume(returning: $0) } }.get()
  }

  func gather(_ worker: WorkerID) async throws -> Gathering {
    try await withCheckedContinuation { continuation in gather(worker) { continuation.resume(returning: $0) } }.get()
  }

  func signals(_ name: String) -> Signals {
    let signals = Signals("signals of \(name)")
    onSignal { signals.put($0) }
    return signals
  }
}

/// What `task(_:)` needs.
let usualNeeds = TaskNeeds(task("any").specification)

/// A task for workers with a label, of a priority.
func task(
  _ name: String, _ priority: Priority, zone: String? = nil, at milliseconds: Int64 = 1_000
) throws -> TaskRecord {
  var specification = TaskSpecification(name: name, work: .command(Command(["true"])), priority: priority)
  if let zone { specification.requirements = try Requirements(json: ["zone": .string(zone)]) }
  return TaskRecord(id: id(name), specification: specification, submittedAt: time(milliseconds))
}

func attempt(_ task: String, _ number: Int, _ worker: WorkerID, _ outcome: AttemptRecord.Outcome = .running)
  -> AttemptRecord
{
  var record = AttemptRecord(taskID: id(task), attempt: number, workerID: worker, startedAt: time(2))
  record.outcome = outcome
  return record
}

/// One database with as many stores as a test opens.
final class SharedDatabase {
  let server: PostgresServer
  let url: String
  private var stores: [PostgresStore] = []

  init() throws {
    server = try PostgresServer.shared()
    url = try server.freshURL()
  }

  var database: String { PostgresServer.database(of: url) }

  func open() throws -> PostgresStore {
    let store = try Postgres.open(url)
    stores.append(store)
    return store
  }

  func close() async { for store in stores { await store.close() } }
}

/// Hands over two stores of one database of which each has joined, as `a` and as `b`. Who would end the other waits for a
/// lease of its own first.
func withTwoMembers(
  lease: Duration = .seconds(60), other: Duration = .seconds(60),
  _ body: (_ a: PostgresStore, _ b: PostgresStore, _ ids: (a: MemberID, b: MemberID), SharedDatabase) async throws ->
    Void
) async throws {
  let shared = try SharedDatabase()
  let (a, b) = (try shared.open(), try shared.open())
  let ids = (a: try await a.join("a", lease: lease), b: try await b.join("b", lease: other))
  try await body(a, b, ids, shared)
  await shared.close()
}
