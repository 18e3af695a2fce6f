import Primitives

/// The tests that workers died of.
///
/// A test whose worker's process died while it ran has killed that worker, as far as anybody can tell. One that has
/// killed three is not run any more, until somebody releases it. Those that died beside one that is under suspicion
/// already are not counted, and two suspects are never given to one worker: so whoever was only standing by is soon
/// told from who did it. One that ends well is under suspicion no more, or the tests of a machine that lost its power
/// would stand in line for a month; what it did still counts.
package struct Quarantine {
  /// More than this many are not remembered; the fleet itself is ill then.
  package static let maxFates = 100_000
  package static let reasonPrefix = "quarantined: "

  private(set) var fates: [TestName: TestFate] = [:]
  /// Those that have ended well since.
  private var cleared: Set<TestName> = []

  init(_ records: [TestRecord] = []) {
    for record in records { fates[record.name] = record.fate }
  }

  /// What the store has by now, where others write there as well.
  mutating func replace(with records: [TestRecord]) {
    let old = fates
    fates = [:]
    for record in records { fates[record.name] = record.fate }
    // Whoever has killed another worker since is not clear of it any more.
    cleared = cleared.filter { fates[$0]?.kills ?? 0 <= old[$0]?.kills ?? 0 }
  }

  func isSuspect(_ specification: TaskSpecification) -> Bool {
    guard !fates.isEmpty, let name = specification.testName else { return false }
    return isSuspect(name)
  }

  private func isSuspect(_ name: TestName) -> Bool {
    fates[name].map { $0.kills > 0 } == true && !cleared.contains(name)
  }

  mutating func endedWell(_ name: TestName) {
    if fates[name] != nil { cleared.insert(name) }
  }

  /// Why a task is not run; `nil` for one that is.
  func reason(_ specification: TaskSpecification) -> String? {
    guard !fates.isEmpty, let name = specification.testName, let fate = fates[name], fate.isQuarantined else {
      return nil
    }
    return Self.reasonPrefix + fate.reason
  }

  /// A worker's process died with these running.
  /// - Returns: those that count as its killers, each with what is held against it now.
  mutating func died(with names: [TestName], worker: WorkerID, wall: WallTime) -> [(name: TestName, fate: TestFate)] {
    let known = names.filter { current($0, wall) != nil && isSuspect($0) }
    return (known.isEmpty ? names : known).compactMap { name in
      guard fates[name] != nil || fates.count < Self.maxFates else { return nil }
      cleared.remove(name)
      guard let fate = TestFate.after(.killed(worker), fates[name], at: wall) else { return nil }
      fates[name] = fate
      return (name, fate)
    }
  }

  /// The worker was not dead after all.
  mutating func forgive(_ name: TestName, wall: WallTime) {
    fates[name] = TestFate.after(.forgiven, fates[name], at: wall)
  }

  mutating func put(_ name: TestName, reason: String, wall: WallTime) {
    fates[name] = TestFate.after(.quarantined(reason: reason), fates[name], at: wall)
  }

  /// - Returns: whether anything was held against it.
  mutating func release(_ name: TestName) -> Bool {
    cleared.remove(name)
    return fates.removeValue(forKey: name) != nil
  }

  private func current(_ name: TestName, _ wall: WallTime) -> TestFate? {
    fates[name].flatMap { $0.isForgotten(at: wall) ? nil : $0 }
  }
}

extension TaskRecord {
  /// Whether it ended without being run, because its test is in quarantine.
  public var wasQuarantined: Bool {
    state.status == .failed && state.reason?.hasPrefix(Quarantine.reasonPrefix) == true
  }
}
