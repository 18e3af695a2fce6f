import CoordinationCore
import Primitives
import Reactor
import Storage

/// How many tasks a shared store has, read anew when somebody asks and the last answer is old: counting is the store's most
/// expensive question.
final class SharedCounts {
  private static let age: Duration = .seconds(1)

  private let loop: EventLoop
  private(set) var counts: [TaskStatus: Int]
  private(set) var queue = QueueStatus()
  private var readAt: Instant?
  private var isReading = false

  init(_ counts: [TaskStatus: Int], on loop: EventLoop) {
    self.counts = counts
    self.loop = loop
  }

  /// Tasks in the pool, as of the last answer.
  var poolSize: Int { Priority.allCases.reduce(0) { $0 + queue[$1].waiting } }

  func refresh(_ store: any SharedTaskStore, at wall: WallTime) {
    guard !isReading, readAt.map({ loop.now - $0 >= Self.age }) ?? true else { return }
    isReading = true
    let (mailbox, bound) = (loop.mailbox, LoopBound(self, to: loop))
    store.counts(run: nil) { counts in
      store.poolStatus { lines in
        mailbox.post { bound.value.received(counts, lines, wall) }
      }
    }
  }

  private func received(
    _ counts: Result<[TaskStatus: Int], StoreError>, _ lines: Result<[Priority: PoolLine], StoreError>, _ wall: WallTime
  ) {
    isReading = false
    readAt = loop.now
    if case .success(let counts) = counts { self.counts = counts }
    guard case .success(let lines) = lines else { return }
    queue = QueueStatus()
    for (priority, line) in lines {
      queue[priority].waiting = line.waiting
      let (age, overflow) = wall.milliseconds.subtractingReportingOverflow(line.oldest.milliseconds)
      queue[priority].oldest = .milliseconds(overflow ? 0 : max(0, age))
    }
  }
}

@available(*, unavailable) extension SharedCounts: Sendable {}
