public import Primitives

/// How a member behaves towards others.
public struct ClusterConfiguration: Equatable, Sendable {
  /// How long a member that says nothing still is one; what others wait before they take over.
  public var lease: Duration = .seconds(3)
  /// How often the store is asked for work although nobody said that there is any.
  public var pollInterval: Duration = .seconds(1)
  /// How often others' words about tests are read.
  public var fatesInterval: Duration = .seconds(5)

  public init() {}

  /// Three tries before the lease runs out.
  var renewInterval: Duration { lease / 3 }
}

/// What happens to a member.
public enum ClusterEvent: Equatable, Sendable {
  case coordinator(CoordinatorEvent)
  /// The answer to `ClusterEffect.renew`.
  case renewed(MembershipRenewal)
  case claimed([UnfinishedTask])
  case gathered(WorkerID, Gathering)
  case located(RequestID, TaskPlace)
  case poolNeeds([TaskNeeds])
  /// Those that something is held against; `nil` when the store cannot say just now.
  case testFates([TestRecord]?)
  case message(ClusterMessage, from: MemberID)
  /// There may be something in the pool.
  case poolChanged
  /// A member has left; its work waits for somebody.
  case memberLeft
  /// Messages may have been lost.
  case mayHaveMissed
  /// Whether anybody here wants to hear of tasks that other members hold.
  case watching(Bool)
  /// Somebody here wants to know what all members' workers can do.
  case wanted(RequestID, [TaskNeeds])
  /// Somebody here wants to see all members' workers; these are the ones that are known here.
  case calledRoll(RequestID, RollCall, own: [JSONObject])
}

/// What the shell must do for a member, in the order given. Each question is answered by the event of its name; a store
/// that says `.fenced` ends the member instead: the shell drops it, sends everybody away, and joins anew.
public enum ClusterEffect: Equatable, Sendable {
  case coordinator(CoordinatorEffect)
  case renew
  case claim([ClaimWish], limit: Int, overdueBefore: WallTime?)
  case gather(WorkerID)
  case locate(RequestID, TaskID)
  case poolNeeds
  case testFates
  /// To one member, or to all others.
  case send(ClusterMessage, to: MemberID?)
  /// Tasks that others hold have changed: look at the store and tell whoever watches.
  case changedElsewhere([TaskID])
  /// More of them than are named.
  case changedManyElsewhere
  /// A member wants to know which workers are known here.
  case callRoll(UInt64, RollCall, for: MemberID)
  /// The answer to `ClusterEvent.calledRoll`: every worker once, in order.
  case rolled(RequestID, [JSONObject])
  /// The answer to `ClusterEvent.wanted`. Needs of which nothing is known are missing.
  case abilities(RequestID, [TaskNeeds: Ability])
}
