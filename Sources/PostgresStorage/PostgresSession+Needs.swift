import CoordinationCore
import PostgreSQL
import Primitives
import Reactor
import Storage

/// Needs that no unfinished task has are forgotten, a few at a time, so that requirements that were asked for once do not
/// stay for ever.
///
///     a renewal, now and then ─▶ which are unused? ─▶ at the next renewal, while nobody submits: forgotten
///                                                          │ somebody does
///                                                          └─▶ at the one after it
///
/// Members remember the numbers of needs. A transaction that uses some holds a lock that forgetting needs for itself, and
/// finds out before it commits whether they are still there.
extension PostgresSession {
  /// Forgotten at once.
  static let maxForgottenNeeds = 500

  /// After a renewal.
  func forgetNeedsIfDue() {
    guard unusedNeeds.isEmpty else {
      let request = StoreRequest.forgetNeeds(unusedNeeds)
      unusedNeeds = []
      guard (try? statistics.accept(request)) != nil else { return }
      return waiting.append(request)
    }
    guard questions.isReady, needsLookedAt.map({ loop.now - $0 >= needsInterval }) ?? true else { return }
    needsLookedAt = loop.now
    questions.run([MemberStatements.unusedNeeds(atMost: Self.maxForgottenNeeds)]) { [self] answer in
      guard case .success(let results) = answer else { return }
      unusedNeeds = (0..<results[0].count).map { results[0].row($0).int64(0) }
    }
  }

  func forgot(_ numbers: [Int64], mayForget: Bool) {
    guard mayForget else {
      unusedNeeds = numbers
      return
    }
    // There may be more.
    if numbers.count == Self.maxForgottenNeeds { needsLookedAt = nil }
    let gone = Set(numbers)
    needs = needs.filter { !gone.contains($0.value) }
  }
}
