import CoordinationCore
import Primitives
import Reactor
import Storage

/// Looks now and then whether working directories keep to their bounds.
///
/// One thread looks at all of them in turn, the loop only starts it and hears what it found. Between two looks lies at least
/// nine times what the first one took, so that watching costs a tenth of one disk's time at most.
final class WorkingDirectoryWatch {
  private struct Watched {
    let directory: WorkingDirectory
    let exceeded: (String) -> Void
  }

  private let loop: EventLoop
  private let interval: Duration
  private var watched: [AttemptKey: Watched] = [:]
  private var isLooking = false
  private lazy var timer = loop.makeTimer { [weak self] in self?.look() }

  /// - Parameter interval: the shortest time between two looks.
  init(on loop: EventLoop, interval: Duration) {
    self.loop = loop
    self.interval = interval
  }

  /// - Parameter exceeded: called on the loop, with the reason; perhaps more than once, until `remove`.
  func add(_ key: AttemptKey, _ directory: WorkingDirectory, exceeded: @escaping (String) -> Void) {
    watched[key] = Watched(directory: directory, exceeded: exceeded)
    if !isLooking, !timer.isActive { timer.start(after: interval) }
  }

  func remove(_ key: AttemptKey) {
    watched[key] = nil
    if watched.isEmpty { timer.cancel() }
  }

  private func look() {
    guard !watched.isEmpty, !isLooking else { return }
    isLooking = true
    let directories = watched.map { ($0.key, $0.value.directory) }
    let (mailbox, bound) = (loop.mailbox, LoopBound(self, to: loop))
    let began = MonotonicClock.now()
    do {
      try BackgroundThread.start {
        let problems = directories.compactMap { key, directory in
          directory.problem(directory.measure()).map { (key, $0) }
        }
        let took = MonotonicClock.now() - began
        mailbox.post { bound.value.looked(problems, took: took) }
      }
    } catch {
      looked([], took: .zero)
    }
  }

  private func looked(_ problems: [(AttemptKey, String)], took: Duration) {
    isLooking = false
    for (key, problem) in problems { watched[key]?.exceeded(problem) }
    if !watched.isEmpty { timer.start(after: max(interval, took * 9)) }
  }
}

@available(*, unavailable) extension WorkingDirectoryWatch: Sendable {}
