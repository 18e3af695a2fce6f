import CoordinationCore
import History
import Primitives
import Reactor
import Storage

/// A coordinator's place among others that use the same store: it has one as long as it is a member, loses it when the
/// others have taken it for dead, and then takes another. All that there is only because of others is here or behind it.
final class ClusterPlace {
  typealias Opening = @Sendable (EventLoop) throws(StoreError) -> any SharedTaskStore

  private static let retryInterval: Duration = .seconds(1)
  private static let loss = "this coordinator lost its place among the others"

  private unowned let runtime: CoordinatorRuntime
  private let settings: CoordinatorSettings
  private let cluster: ClusterSettings
  private let open: Opening
  /// The newest membership, which may be lost.
  private var shell: ClusterShell
  private var foreign: ForeignChanges
  /// What people here ask of the whole fleet, and others of the workers here.
  let questions: FleetQuestions
  private let counts: SharedCounts
  private let effects = EffectQueue<ClusterEffect>()
  /// It has lost its place and is taking a new one; nothing that happens is of any use until then.
  private(set) var isLost = false
  private var hasLeft = false

  init(
    _ runtime: CoordinatorRuntime, _ settings: CoordinatorSettings, _ cluster: ClusterSettings,
    opening open: @escaping Opening, _ membership: Membership
  ) {
    self.runtime = runtime
    self.settings = settings
    self.cluster = cluster
    self.open = open
    shell = ClusterShell(membership, on: runtime.loop, log: settings.log)
    foreign = ForeignChanges(runtime)
    questions = FleetQuestions(runtime)
    counts = SharedCounts(membership.counts, on: runtime.loop)
    begin()
  }

  /// Becomes one of those who speak to each other.
  private func begin() {
    settings.record?(.joined(shell.core.me))
    shell.feed = { [weak self] event in
      guard let self else { return }
      if let taken = HistoryEvent(event) { settings.record?(taken) }
      handle(event)
    }
    shell.onFenced = { [weak self] in self?.lose() }
    shell.onFailure = { [weak self] in self?.runtime.storeFailed($0) }
    settings.log(LogEntry(.info, "one of several coordinators", ["member": "\(shell.core.me)"]))
  }

  // MARK: The turn

  func handle(_ event: ClusterEvent) {
    guard !isLost else { return }
    effects.add { shell.core.handle(event, at: runtime.loop.now, wall: SystemWallClock.now(), into: &$0) }
    runtime.endTurnSoon()
    effects.perform { perform($0) }
  }

  func endTurn() {
    let (now, wall) = (runtime.loop.now, SystemWallClock.now())
    effects.add {
      shell.core.handle(.watching(runtime.isWatched), at: now, wall: wall, into: &$0)
      shell.core.handle(.coordinator(.turnEnded), at: now, wall: wall, into: &$0)
    }
    shell.core.core.poolSize = counts.poolSize
    effects.perform { perform($0) }
  }

  /// When it must be woken at the latest.
  var nextDeadline: Instant { shell.core.nextDeadline }

  private func perform(_ effect: ClusterEffect) {
    switch effect {
    case .coordinator(let effect): runtime.perform(effect)
    case .changedElsewhere(let tasks):
      for task in tasks { runtime.api?.cache.forget(task) }
      foreign.changed(tasks)
    case .changedManyElsewhere: runtime.missedSome()
    case .callRoll(let number, let call, let member): questions.answer(number, call, for: member, shell)
    case .rolled(let id, let workers): questions.rolled(id, workers)
    case .abilities(let id, let abilities): questions.able(id, abilities)
    case .renew, .claim, .gather, .locate, .poolNeeds, .testFates, .send: shell.perform(effect)
    }
  }

  // MARK: Losing it, and taking another

  /// Others have taken over all that was held here. Everybody is sent away with a hint to come back, and whatever they
  /// were promised stands: nothing is acknowledged that is not in the store.
  func lose() {
    guard !isLost, !hasLeft else { return }
    isLost = true
    settings.record?(.membershipEnded(shell.core.me))
    settings.log(
      LogEntry(.error, "this coordinator was away from its store for too long; it takes its place anew"))
    shell.abandon()
    effects.removeAll()
    runtime.forgetEverything(because: Self.loss)
    questions.abandon()
    shell.store.close {}
    rejoin()
  }

  private func rejoin() {
    Membership.join(settings, cluster, opening: open, on: runtime.loop) { [weak self] result in
      guard let self, !hasLeft else {
        if case .success(let membership) = result { membership.store.close {} }
        return
      }
      switch result {
      case .success(let membership): take(membership)
      case .failure(let error):
        settings.log(LogEntry(.error, "cannot take a new place yet; trying again", ["error": "\(error)"]))
        _ = runtime.loop.schedule(after: Self.retryInterval) { [weak self] in self?.rejoin() }
      }
    }
  }

  private func take(_ membership: Membership) {
    isLost = false
    shell = ClusterShell(membership, on: runtime.loop, log: settings.log)
    foreign = ForeignChanges(runtime)
    begin()
    counts.refresh(membership.store, at: SystemWallClock.now())
    runtime.goOn(with: membership.core.core, membership.store)
  }

  /// Nothing that still comes concerns anybody.
  /// - Returns: the store to leave behind the last commit, so that others take over all of it at once; `nil` where it is
  ///   no member.
  func end() -> (any SharedTaskStore)? {
    hasLeft = true
    shell.abandon()
    return isLost ? nil : shell.store
  }

  // MARK: Asking

  /// Why nobody can be served now; `nil` while all is well.
  var problem: String? { isLost ? "\(Self.loss), and takes a new one" : shell.problem }

  /// How many tasks all coordinators have together, as of the last answer; read anew for whoever asks next.
  func currentCounts() -> SharedCounts {
    counts.refresh(shell.store, at: SystemWallClock.now())
    return counts
  }

  /// The files of tasks that all coordinators keep together, for this membership.
  func openFiles() -> FileService {
    FileService(
      settings.files, in: shell.store.openFiles(settings.files.limits), lease: shell.core.configuration.lease,
      shell.core.core, on: runtime.loop, log: settings.log)
  }
}

@available(*, unavailable) extension ClusterPlace: Sendable {}
