public import CoordinationCore
public import Primitives

/// A store that several coordinators use at once.
///
/// A coordinator is one of its members from `join` until its lease runs out without a renewal, until another of the same
/// name joins, or until it leaves. Every task that has not ended is either **a member's**, which then is the only one that
/// may change it, or it is queued **in the pool**, from where any member may claim it:
///
///     .submit ─▶ pool ──claim──▶ a member's ──.update …──▶ ended
///                 ▲                │    └──.transfer──▶ another member's
///                 └────.release────┘        (its membership ended: another takes over what workers hold,
///                                            and what was queued goes back to the pool)
///
/// A member whose membership has ended is told so by `.fenced`, whatever it asks for, and nothing of what it asked for has
/// happened: whoever took over from it is never contradicted. Times are the store's own clock's.
///
/// While the store cannot be reached, changes (commits and everything declared here) wait for it in their order and are
/// done once, however often the connection breaks in the middle of one; `.reachable(false)` says so. What is only read
/// fails with `.unreachable`. Completions of changes are called in the order of the calls, commits among them.
public protocol SharedTaskStore: TaskStore {
  /// Becomes a member; must be the first thing that is asked for. A member of the same name ends at once.
  /// - Parameters:
  ///   - address: where others reach it, for people.
  ///   - lease: how long it stays one without a renewal.
  func join(
    name: String, address: String, lease: Duration,
    _ completion: @escaping @Sendable (Result<MemberID, StoreError>) -> Void)

  /// Stays a member for another lease, ends those whose lease has run out, and takes over from all that have ended: what
  /// workers hold becomes this member's, what is queued goes to the pool. Several members may do so at the same time;
  /// each task goes to one of them.
  func renew(_ completion: @escaping @Sendable (Result<MembershipRenewal, StoreError>) -> Void)

  /// Ends the membership in order. Others take over at once.
  func leave(_ completion: @escaping @Sendable () -> Void)

  /// The different needs of tasks in the pool that may be given out; those whose pause was asked for do not count.
  func poolNeeds(_ completion: @escaping @Sendable (Result<[TaskNeeds], StoreError>) -> Void)

  /// How many tasks wait in the pool by priority, and since when the oldest of each was submitted.
  func poolStatus(_ completion: @escaping @Sendable (Result<[Priority: PoolLine], StoreError>) -> Void)

  /// Takes tasks out of the pool: of each wish at most its count, together at most `limit`; the most urgent first, then in
  /// order of submission.
  /// - Parameter overdueBefore: up to a quarter of the limit goes first to what was submitted before this, the oldest
  ///   first, whatever is more urgent; `nil`: strict order.
  func claim(
    _ wishes: [ClaimWish], limit: Int, overdueBefore: WallTime?,
    _ completion: @escaping @Sendable (Result<[UnfinishedTask], StoreError>) -> Void)

  /// Says where a task is, and claims it if that is the pool, whether or not it may be given out.
  func locate(_ id: TaskID, _ completion: @escaping @Sendable (Result<TaskPlace, StoreError>) -> Void)

  /// Claims every task of the pool that `worker` held last and whose newest attempt is not known to have ended otherwise
  /// than by being lost, and returns those together with what is this member's already and the worker's; says which
  /// members hold tasks that the worker held last, whatever has become of them since.
  func gather(_ worker: WorkerID, _ completion: @escaping @Sendable (Result<Gathering, StoreError>) -> Void)

  /// Sends a message to a member, or to all others. It arrives at most once, within moments or never.
  /// - Parameter text: at most `maxMessageBytes` bytes of UTF-8.
  func send(_ text: String, to member: MemberID?)

  /// Calls `body` with what comes from others, from `join` on.
  func onSignal(_ body: @escaping @Sendable (StoreSignal) -> Void)

  /// The files of tasks, which all members share; call on the store's loop, and close it before the store.
  func openFiles(_ limits: ContentLimits) -> any SharedContentKeeper
}

extension SharedTaskStore {
  /// The longest message that `send` takes.
  public static var maxMessageBytes: Int { 7_900 }
}

/// What waits in the pool with one priority.
public struct PoolLine: Equatable, Sendable {
  public var waiting: Int
  public var oldest: WallTime

  public init(waiting: Int, oldest: WallTime) {
    self.waiting = waiting
    self.oldest = oldest
  }
}

/// What a shared store tells its members unasked.
public enum StoreSignal: Equatable, Sendable {
  case message(String, from: MemberID)
  /// There may be something to claim. Others' doing is told within moments; whoever misses it finds it by asking.
  case poolChanged
  /// A membership ended in order: somebody should take over.
  case memberLeft
  /// Messages may have been lost: the connection that they come over was, and stands again.
  case mayHaveMissed
  /// The store cannot be reached, or can be again.
  case reachable(Bool)
}
