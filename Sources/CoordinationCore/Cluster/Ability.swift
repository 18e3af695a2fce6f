/// What of a task's needs some workers meet: as much as it takes to say what is missing.
///
/// The abilities of workers here and there add up by `union`, so that those of a whole fleet are known without a list of
/// its workers.
public struct Ability: OptionSet, Hashable, Sendable {
  public let rawValue: Int64
  public init(rawValue: Int64) { self.rawValue = rawValue }

  /// There is a worker.
  static let present = Ability(rawValue: 1)
  /// One does work of this kind.
  static let kind = Ability(rawValue: 2)
  /// One that does has as many slots.
  static let slots = Ability(rawValue: 4)
  /// One does all that is needed.
  public static let everything = Ability(rawValue: 8)

  /// One that does work of this kind meets the requirement of this number.
  private static func condition(_ index: Int) -> Ability { Ability(rawValue: 16 << Int64(index)) }

  init(_ needs: TaskNeeds, of workers: some Sequence<WorkerEntry>) {
    self = []
    for worker in workers {
      insert(.present)
      guard worker.kinds.contains(needs.kind) else { continue }
      insert(.kind)
      if worker.slots >= needs.slots { insert(.slots) }
      for (index, condition) in needs.requirements.conditions.enumerated() where condition.isMet(by: worker.labels) {
        insert(Self.condition(index))
      }
      if needs.suits(worker) {
        insert(.everything)
        return
      }
    }
  }

  /// Why none of the workers can ever do a task, such as `no connected worker has gpu=1`; `nil` when one can.
  public func obstacle(to needs: TaskNeeds) -> String? {
    guard !contains(.everything) else { return nil }
    guard contains(.present) else { return "no worker is connected" }
    guard contains(.kind) else { return "no connected worker does work of kind \(needs.kind)" }
    for (index, condition) in needs.requirements.conditions.enumerated() where !contains(Self.condition(index)) {
      return condition.condition == .absent
        ? "every connected worker has the label \(condition.label)" : "no connected worker has \(condition)"
    }
    guard contains(.slots) else { return "no connected worker has \(needs.slots) slots" }
    let slots = needs.slots > 1 ? " and \(needs.slots) slots" : ""
    return "no connected worker has \(needs.requirements)\(slots) together"
  }
}
