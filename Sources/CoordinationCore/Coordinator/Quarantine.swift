import Primitives

/// The tests that workers died of.
///
/// A test whose worker's process died while it ran has killed that worker, as far as anybody can tell. One that has
/// killed three is not run any more, until somebody releases it. Those that died beside one that is under suspicion
/// already are not counted, and two suspects are never given to one worker: so whoever was only standing by is soon
/// told from who did it. One that ends well is under suspicion no more, or the tests of a machine that lost its power
/// would stand in line for a month; what it did still counts.
package struct Quarantine {
  /// Workers that one test may kill.
  static let maxKills = 3
  /// What was held against a test is forgotten when nothing was added for so long.
  static let memory: Duration = .seconds(30 * 24 * 3_600)
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
      var fate = current(name, wall) ?? TestFate(changedAt: wall)
      cleared.remove(name)
      fate.kills += 1
      fate.changedAt = wall
      if fate.isQuarantined {
        // It was running when it was put there; the reason stands.
      } else if fate.kills >= Self.maxKills {
        fate.isQuarantined = true
        fate.reason =
          "\(fate.kills) workers died while it ran, the last of them \(worker); "
          + "lifeline quarantine release lets it run again"
      } else {
        fate.reason = "worker \(worker) died while it ran"
      }
      fates[name] = fate
      return (name, fate)
    }
  }

  /// The worker was not dead after all.
  mutating func forgive(_ name: TestName, wall: WallTime) -> TestFate? {
    guard var fate = fates[name], fate.kills > 0 else { return nil }
    if fate.kills == Self.maxKills { fate.isQuarantined = false }
    fate.kills -= 1
    fate.changedAt = wall
    set(name, fate)
    return fate
  }

  mutating func put(_ name: TestName, reason: String, wall: WallTime) -> TestFate {
    let fate = TestFate(kills: fates[name]?.kills ?? 0, isQuarantined: true, reason: reason, changedAt: wall)
    fates[name] = fate
    return fate
  }

  /// - Returns: whether anything was held against it.
  mutating func release(_ name: TestName) -> Bool {
    cleared.remove(name)
    return fates.removeValue(forKey: name) != nil
  }

  private mutating func set(_ name: TestName, _ fate: TestFate) { fates[name] = fate.isClear ? nil : fate }

  private func current(_ name: TestName, _ wall: WallTime) -> TestFate? {
    guard let fate = fates[name] else { return nil }
    let age = wall.milliseconds.subtractingReportingOverflow(fate.changedAt.milliseconds)
    let isOld = !age.overflow && age.partialValue > Self.memory.wholeMilliseconds
    return isOld && !fate.isQuarantined ? nil : fate
  }
}

extension TaskRecord {
  /// Whether it ended without being run, because its test is in quarantine.
  public var wasQuarantined: Bool {
    state.status == .failed && state.reason?.hasPrefix(Quarantine.reasonPrefix) == true
  }
}
