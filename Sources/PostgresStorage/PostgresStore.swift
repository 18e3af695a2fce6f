public import CoordinationCore
import Locking
import PostgreSQL
public import Primitives
public import Reactor
public import Storage

/// The store that several coordinators share: tables in a PostgreSQL database, reached over two connections on one event
/// loop, and a third for the files of tasks.
///
/// One connection carries what changes something, the other what is read, and what members tell one another. May be called
/// from any thread; completions are called on the loop. Close it before its loop ends.
public final class PostgresStore: SharedTaskStore {
  /// Writes that may wait for the database; beyond them a commit fails with `.overloaded`.
  public static let maxPendingWrites = 1_000_000
  /// Everything else that may wait.
  static let maxPendingRequests = 100_000

  /// The address without its password.
  public let shown: String
  private let session: LoopBound<PostgresSession>
  private let mailbox: Mailbox
  let statistics: PostgresStatistics

  /// Begins to connect, and returns at once; call on the loop. What is asked for meanwhile waits. It fails with `.refused`
  /// when the address, the permission or the tables in the database do not fit, and with `.unreachable` when there is no
  /// connection after ten seconds. Once there was a connection it is made again for ever.
  /// - Parameters:
  ///   - url: whatever libpq takes, such as `postgres://USER@HOST:PORT/DATABASE`. Of several hosts the first is taken that
  ///     answers and takes changes.
  ///   - log: what an operator should know, a line each; called on the loop.
  public static func connect(
    _ url: String, on loop: EventLoop, log: @escaping (String) -> Void = { _ in }
  ) throws(StoreError) -> PostgresStore {
    loop.preconditionOnLoop()
    do throws(PostgresError) {
      var address = try PostgresAddress(url)
      // Of several servers only one takes changes, and which one that is changes.
      if address["target_session_attrs"] == nil { address["target_session_attrs"] = "read-write" }
      return PostgresStore(address, loop, log)
    } catch {
      throw .refused(store: "postgres://…", reason: error.message)
    }
  }

  private init(_ address: PostgresAddress, _ loop: EventLoop, _ log: @escaping (String) -> Void) {
    shown = address.shown
    statistics = PostgresStatistics()
    mailbox = loop.mailbox
    let session = PostgresSession(address, on: loop, statistics, log)
    self.session = LoopBound(session, to: loop)
    session.start()
  }

  deinit {
    guard statistics.close() else { return }
    let session = session
    mailbox.post { session.value.add(.close({})) }
  }

  public var refusedWrites: Int { statistics.refusedWrites }

  /// How many transactions with commits have been made; fewer than commits when groups form.
  public var transactions: Int { statistics.transactions }

  public func commit(_ writes: [StoreWrite], _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
    do throws(StoreError) {
      for write in writes { try write.checkStorable() }
    } catch {
      return completion(.failure(statistics.isClosed ? .closed : error))
    }
    add(.commit(writes, completion))
  }

  public func unfinishedTasks(_ completion: @escaping @Sendable (Result<[UnfinishedTask], StoreError>) -> Void) {
    add(.read(.unfinished(completion)))
  }

  public func tasks(
    matching filter: TaskFilter, _ completion: @escaping @Sendable (Result<[TaskRecord], StoreError>) -> Void
  ) {
    add(.read(.tasks(filter, completion)))
  }

  public func task(_ id: TaskID, _ completion: @escaping @Sendable (Result<TaskDetail?, StoreError>) -> Void) {
    add(.read(.task(id, completion)))
  }

  public func counts(
    run: String?, _ completion: @escaping @Sendable (Result<[TaskStatus: Int], StoreError>) -> Void
  ) {
    add(.read(.counts(run: run, completion)))
  }

  public func tests(
    matching filter: TestFilter, _ completion: @escaping @Sendable (Result<[TestRecord], StoreError>) -> Void
  ) {
    add(.read(.tests(filter, completion)))
  }

  public func runPart(
    _ run: String, _ number: Int, _ completion: @escaping @Sendable (Result<RunPart?, StoreError>) -> Void
  ) {
    add(.read(.runPart(run, number, completion)))
  }

  public func close(_ completion: @escaping @Sendable () -> Void) {
    guard statistics.close() else { return completion() }
    let session = session
    if !mailbox.post({ session.value.add(.close(completion)) }) { completion() }
  }

  public func join(
    name: String, address: String, lease: Duration,
    _ completion: @escaping @Sendable (Result<MemberID, StoreError>) -> Void
  ) {
    add(.join(name: name, address: address, lease: lease, completion))
  }

  public func renew(_ completion: @escaping @Sendable (Result<MembershipRenewal, StoreError>) -> Void) {
    add(.renew(completion))
  }

  public func leave(_ completion: @escaping @Sendable () -> Void) { add(.leave(completion)) }

  public func poolNeeds(_ completion: @escaping @Sendable (Result<[TaskNeeds], StoreError>) -> Void) {
    add(.read(.poolNeeds(completion)))
  }

  public func poolStatus(_ completion: @escaping @Sendable (Result<[Priority: PoolLine], StoreError>) -> Void) {
    add(.read(.poolStatus(completion)))
  }

  public func claim(
    _ wishes: [ClaimWish], limit: Int, overdueBefore: WallTime?,
    _ completion: @escaping @Sendable (Result<[UnfinishedTask], StoreError>) -> Void
  ) {
    add(.claim(wishes, limit: limit, overdueBefore: overdueBefore, completion))
  }

  public func locate(_ id: TaskID, _ completion: @escaping @Sendable (Result<TaskPlace, StoreError>) -> Void) {
    add(.locate(id, completion))
  }

  public func gather(_ worker: WorkerID, _ completion: @escaping @Sendable (Result<Gathering, StoreError>) -> Void) {
    add(.gather(worker, completion))
  }

  public func send(_ text: String, to member: MemberID?) { add(.send(text, to: member)) }

  public func onSignal(_ body: @escaping @Sendable (StoreSignal) -> Void) {
    let session = session
    mailbox.post { session.value.onSignal = body }
  }

  public func openFiles(_ limits: ContentLimits) -> any SharedContentKeeper { session.value.openFiles(limits) }

  private func add(_ request: StoreRequest) {
    do throws(StoreError) { try statistics.accept(request) } catch { return request.fail(error) }
    let session = session
    if !mailbox.post({ session.value.add(request) }) { request.fail(.closed) }
  }

  /// Runs `body` with the session on its loop; for tests.
  func perform(_ body: @escaping @Sendable (PostgresSession) -> Void) {
    let session = session
    mailbox.post { body(session.value) }
  }
}

/// What the loop counts for others to read, and what others count for the loop.
final class PostgresStatistics: Sendable {
  private struct State {
    var refusedWrites = 0
    var transactions = 0
    var pendingWrites = 0
    var pendingRequests = 0
    var isClosed = false
  }

  private let state = Locked(State())

  var refusedWrites: Int { state.withLock { $0.refusedWrites } }
  var transactions: Int { state.withLock { $0.transactions } }
  var isClosed: Bool { state.withLock { $0.isClosed } }

  func accept(_ request: StoreRequest) throws(StoreError) {
    try state.withLock { (state) throws(StoreError) in
      if state.isClosed { throw .closed }
      let weight = request.weight
      // One that alone is too large is let in alone, or it never could be.
      if weight > 0, state.pendingWrites > 0, state.pendingWrites + weight > PostgresStore.maxPendingWrites {
        throw .overloaded(pendingWrites: state.pendingWrites, limit: PostgresStore.maxPendingWrites)
      }
      if case .commit = request {
        state.pendingWrites += weight
        return
      }
      guard state.pendingRequests < PostgresStore.maxPendingRequests else {
        throw .overloaded(pendingWrites: state.pendingRequests, limit: PostgresStore.maxPendingRequests)
      }
      state.pendingRequests += 1
    }
  }

  /// A request that was accepted is done with.
  func finished(_ request: StoreRequest) {
    state.withLock { state in
      if case .commit = request { state.pendingWrites -= request.weight } else { state.pendingRequests -= 1 }
    }
  }

  func committed(refused: Int) {
    state.withLock { state in
      state.transactions += 1
      state.refusedWrites += refused
    }
  }

  /// False when it was closed before.
  func close() -> Bool {
    state.withLock { state in
      defer { state.isClosed = true }
      return !state.isClosed
    }
  }
}
