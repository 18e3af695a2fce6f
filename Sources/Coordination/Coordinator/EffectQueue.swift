/// A core's effects, performed in the order in which they come.
final class EffectQueue<Effect> {
  private var effects: [Effect] = []
  private var isPerforming = false

  /// - Parameter body: lets a core append.
  func add(_ body: (inout [Effect]) -> Void) { body(&effects) }

  /// Performing an effect may feed the core again, which appends: hence by index, and only the outermost call.
  func perform(_ body: (Effect) -> Void) {
    guard !isPerforming else { return }
    isPerforming = true
    var index = 0
    while index < effects.count {
      body(effects[index])
      index += 1
    }
    effects.removeAll(keepingCapacity: true)
    isPerforming = false
  }

  /// What was not performed is of no use any more.
  func removeAll() { effects = [] }
}

@available(*, unavailable) extension EffectQueue: Sendable {}
