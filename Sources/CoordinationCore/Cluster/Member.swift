/// One run of a coordinator among others that share a store. Numbers grow: a coordinator that is started again is another
/// member.
public struct MemberID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let number: Int64
  public init(_ number: Int64) { self.number = number }
  public var description: String { "\(number)" }
  public static func < (left: MemberID, right: MemberID) -> Bool { left.number < right.number }
}

/// A member as the others see it.
public struct Member: Equatable, Sendable {
  public var id: MemberID
  /// What its operator calls it; a new member of the same name takes its place.
  public var name: String
  /// Where workers and clients reach it, such as `ws://10.0.0.1:8765`.
  public var address: String

  public init(id: MemberID, name: String, address: String) {
    self.id = id
    self.name = name
    self.address = address
  }
}

/// What came of renewing a membership.
public struct MembershipRenewal: Equatable, Sendable {
  /// Everybody whose membership has not ended, this one included, in order.
  public var members: [Member]
  /// What workers hold of those whose membership has ended: this member's from now on.
  public var takenOver: [UnfinishedTask]

  public init(members: [Member], takenOver: [UnfinishedTask] = []) {
    self.members = members
    self.takenOver = takenOver
  }
}

/// So many tasks of one kind of needs.
public struct ClaimWish: Equatable, Sendable {
  public var needs: TaskNeeds
  /// At most, from 1.
  public var count: Int

  public init(_ needs: TaskNeeds, count: Int) {
    self.needs = needs
    self.count = count
  }
}

/// What the store knows of a worker that came to another coordinator.
public struct Gathering: Equatable, Sendable {
  /// What it may still hold, and what is this member's now.
  public var tasks: [UnfinishedTask]
  /// Members that have to hand over more of it first.
  public var heldBy: Set<MemberID>

  public init(tasks: [UnfinishedTask] = [], heldBy: Set<MemberID> = []) {
    self.tasks = tasks
    self.heldBy = heldBy
  }
}

/// Where a task is that has been asked for by its name.
public enum TaskPlace: Equatable, Sendable {
  /// Never submitted, or ended.
  case nowhere
  /// It was in the pool, and is this member's now; or was so before.
  case here(UnfinishedTask)
  case held(by: MemberID)
}
