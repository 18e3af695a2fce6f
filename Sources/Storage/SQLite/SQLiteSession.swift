import CoordinationCore
import Synchronization

/// The store's thread: takes what was requested, in order, and forms groups of commits.
final class SQLiteSession {
  let queue = BlockingQueue<SQLiteStore.Operation>(limit: SQLiteStore.maxPendingWrites)
  let statistics = SQLiteStoreStatistics()
  private var engine: SQLiteEngine?
  private var group: [(writes: [StoreWrite], completion: SQLiteStore.Completion<Void>)] = []
  private var groupedWrites = 0

  init(_ engine: SQLiteEngine) { self.engine = engine }

  /// Returns after the operation `.close`.
  func run() {
    let completion = serve()
    // The engine is gone by now, and the file with it.
    completion()
  }

  private func serve() -> () -> Void {
    guard let engine else { return {} }
    while true {
      for operation in queue.takeAll() {
        if case .commit(let writes, let completion) = operation {
          group.append((writes, completion))
          groupedWrites += writes.count
          if groupedWrites >= SQLiteStore.maxGroupedWrites { commitGroup(engine) }
          continue
        }
        commitGroup(engine)
        switch operation {
        case .commit: break
        case .unfinishedTasks(let completion):
          answer(completion) { () throws(StoreError) in try engine.unfinishedTasks() }
        case .tasks(let filter, let completion):
          answer(completion) { () throws(StoreError) in try engine.page(filter) }
        case .task(let id, let completion):
          answer(completion) { () throws(StoreError) in try engine.detail(id) }
        case .counts(let run, let completion):
          answer(completion) { () throws(StoreError) in try engine.counts(run: run) }
        case .tests(let filter, let completion):
          answer(completion) { () throws(StoreError) in try engine.tests(filter) }
        case .runPart(let run, let number, let completion):
          answer(completion) { () throws(StoreError) in try engine.runPart(run, number) }
        case .perform(let body): body(engine.connection)
        case .close(let completion):
          self.engine = nil
          return completion
        }
      }
      commitGroup(engine)
    }
  }

  private func answer<T>(_ completion: SQLiteStore.Completion<T>, _ body: () throws(StoreError) -> T) {
    do throws(StoreError) { completion(.success(try body())) } catch { completion(.failure(error)) }
  }

  private func commitGroup(_ engine: SQLiteEngine) {
    guard !group.isEmpty else { return }
    defer {
      group.removeAll(keepingCapacity: true)
      groupedWrites = 0
    }
    if group.count > 1 {
      do throws(StoreError) {
        record(try engine.apply(group.lazy.map(\.writes)))
        for commit in group { commit.completion(.success(())) }
        return
      } catch {
        // Only the guilty one shall fail, so each now has a transaction of its own. Unless another program is in the
        // way: waiting for it once per commit would stop the store for minutes.
        if case .busy = error { return fail(group[...], error) }
      }
    }
    for (index, commit) in group.enumerated() {
      do throws(StoreError) {
        record(try engine.apply(CollectionOfOne(commit.writes)))
        commit.completion(.success(()))
      } catch {
        if case .busy = error { return fail(group[index...], error) }
        commit.completion(.failure(error))
      }
    }
  }

  private func fail(
    _ commits: ArraySlice<(writes: [StoreWrite], completion: SQLiteStore.Completion<Void>)>, _ error: StoreError
  ) {
    for commit in commits { commit.completion(.failure(error)) }
  }

  private func record(_ refused: Int) {
    statistics.transactions.add(1, ordering: .relaxed)
    if refused > 0 { statistics.refusedWrites.add(refused, ordering: .relaxed) }
  }
}
