import CoordinationCore
import Metrics
import Primitives
import Reactor
import Storage

/// Brings a core's writes into its store, and again for as long as the store cannot take them.
final class CommitLine {
  private static let retryInterval: Duration = .seconds(1)

  private let store: any TaskStore
  private let loop: EventLoop
  private let metrics: CoordinatorMetrics
  private let log: (LogEntry) -> Void
  /// Why nothing can be committed, as of the last that was heard; `nil` once a commit succeeds.
  var problem: StoreError?
  /// When the commit under way began, its repetitions included.
  private(set) var began: Instant?
  /// What became of a batch: it is durable, or the store will never take it.
  var onEnd: ((BatchID, Result<Void, StoreError>) -> Void)?

  init(_ store: any TaskStore, _ metrics: CoordinatorMetrics, on loop: EventLoop, log: @escaping (LogEntry) -> Void) {
    self.store = store
    self.metrics = metrics
    self.loop = loop
    self.log = log
  }

  func begin(_ batch: BatchID, _ writes: [StoreWrite]) {
    metrics.batchSize.record(UInt64(clamping: writes.count))
    began = MonotonicClock.now()
    commit(batch, writes)
  }

  /// A store that was left has nothing to do with what is promised from now on.
  func abandon() {
    onEnd = nil
    began = nil
  }

  private func commit(_ batch: BatchID, _ writes: [StoreWrite]) {
    let (mailbox, bound) = (loop.mailbox, LoopBound(self, to: loop))
    store.commit(writes) { result in
      mailbox.post { bound.value.committed(batch, writes, result) }
    }
  }

  private func committed(_ batch: BatchID, _ writes: [StoreWrite], _ result: Result<Void, StoreError>) {
    guard let onEnd else { return }
    switch result {
    case .success:
      metrics.commits.add()
      if let began { metrics.commitLatency.record(MonotonicClock.now() - began) }
      began = nil
      problem = nil
      onEnd(batch, result)
    case .failure(let error) where error.isTransient:
      metrics.commitErrors.add()
      problem = error
      // Nothing was promised yet, so nothing is lost by trying again; meanwhile everyone waits.
      log(
        LogEntry(.error, "the store cannot commit; trying again", ["error": "\(error)", "writes": "\(writes.count)"]))
      _ = loop.schedule(after: Self.retryInterval) { [weak self] in
        guard let self, self.onEnd != nil else { return }
        commit(batch, writes)
      }
    case .failure: onEnd(batch, result)
    }
  }
}

@available(*, unavailable) extension CommitLine: Sendable {}
