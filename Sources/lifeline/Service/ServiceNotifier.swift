import CoordinationCore
import Primitives
import Reactor

/// Tells the service manager that started this process how it fares; does nothing when none did.
///
/// The signs of life are the loop's own, so a loop that is stuck is noticed. That is all they stand for: a store that cannot
/// commit is not cured by a restart, which would only send everybody away meanwhile; `/readyz` and the status line tell of it.
final class ServiceNotifier {
  /// How often the status line may change.
  private static let statusInterval: Duration = .seconds(5)
  private static let retryInterval: Duration = .milliseconds(100)
  /// Notices that wait for room; there is no way to so many.
  private static let maxWaiting = 16

  private let loop: EventLoop
  private let log: (LogEntry) -> Void
  private let socket: ServiceSocket?
  private var waiting: [ServiceNotice] = []
  private var retryTimer: Timer?
  private var statusTimer: Timer?
  private var watchdogTimer: Timer?
  private var readStatus: (() -> String)?
  private var lastStatus = ""
  private var isStopping = false
  private var hasComplained = false

  /// Begins with the signs of life, if any are wanted.
  init(_ environment: ServiceEnvironment, on loop: EventLoop, log: @escaping (LogEntry) -> Void) {
    self.loop = loop
    self.log = log
    do { socket = try environment.socket.map { name throws(SystemError) in try ServiceSocket(name) } } catch {
      socket = nil
      log(LogEntry(.warning, "the service manager cannot be told anything", ["error": "\(error)"]))
    }
    guard socket != nil, let limit = environment.watchdog else { return }
    // Half of it leaves room for one that comes late (sd_watchdog_enabled(3)).
    repeating(every: limit / 2, in: \.watchdogTimer) { $0.send(.alive) }
    send(.alive)
  }

  /// It serves from now on.
  /// - Parameter status: a line for people, asked for every few seconds.
  func ready(_ status: @escaping () -> String) {
    guard socket != nil, readStatus == nil, !isStopping else { return }
    readStatus = status
    lastStatus = status()
    send(.ready(lastStatus))
    repeating(every: Self.statusInterval, in: \.statusTimer) { $0.refreshStatus() }
  }

  /// Brackets a reload; before the process is ready there is nothing to announce, and `READY` would be a lie.
  func reload(_ body: () -> Void) {
    guard let readStatus, !isStopping else { return body() }
    send(.reloading(at: MonotonicClock.now()))
    body()
    lastStatus = readStatus()
    send(.ready(lastStatus))
  }

  /// It will end by itself within `limit`.
  func stopping(within limit: Duration, _ status: String) {
    guard !isStopping else { return }
    isStopping = true
    statusTimer?.cancel()
    send(.stopping(within: limit, status))
  }

  private func refreshStatus() {
    guard !isStopping, let status = readStatus?(), status != lastStatus else { return }
    lastStatus = status
    send(.status(status))
  }

  private func repeating(
    every interval: Duration, in timer: ReferenceWritableKeyPath<ServiceNotifier, Timer?>,
    _ body: @escaping (ServiceNotifier) -> Void
  ) {
    let made = loop.makeTimer { [weak self] in
      guard let self else { return }
      self[keyPath: timer]?.start(after: interval)
      body(self)
    }
    self[keyPath: timer] = made
    made.start(after: interval)
  }

  private func send(_ notice: ServiceNotice) {
    guard let socket else { return }
    // What matters keeps its order: a READY must not overtake the RELOADING before it.
    if notice.matters, !waiting.isEmpty { return wait(notice) }
    switch socket.send(notice.text) {
    case .sent: break
    case .full: if notice.matters { wait(notice) }
    case .failed(let error): complain(error)
    }
  }

  private func wait(_ notice: ServiceNotice) {
    guard waiting.count < Self.maxWaiting else { return }
    waiting.append(notice)
    guard waiting.count == 1 else { return }
    retryTimer = loop.schedule(after: Self.retryInterval) { [weak self] in self?.retry() }
  }

  private func retry() {
    let notices = waiting
    waiting = []
    for notice in notices { send(notice) }
  }

  /// Once: it would be the same each time, and there is nobody to be told but whoever reads the log.
  private func complain(_ error: SystemError) {
    guard !hasComplained else { return }
    hasComplained = true
    log(LogEntry(.warning, "the service manager cannot be told anything", ["error": "\(error)"]))
  }
}

@available(*, unavailable) extension ServiceNotifier: Sendable {}
