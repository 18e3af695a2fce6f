import CoordinationCore
import History
import Primitives
import Reactor
import Storage

/// What a coordinator has once its own store, which nobody else uses, is open. `Membership` is the same for one that others
/// use as well.
struct OwnStore {
  let store: any TaskStore
  let core: CoordinatorCore
  /// Of the tasks that had ended before, how many ended how.
  let ended: [TaskStatus: Int]

  /// Reads what has not ended, and what else must be known before anybody is served.
  static func read(
    _ store: any TaskStore, _ settings: CoordinatorSettings, on loop: EventLoop,
    _ completion: @escaping (Result<OwnStore, CoordinatorStartError>) -> Void
  ) {
    let mailbox = loop.mailbox
    let completion = LoopBound(completion, to: loop)
    store.counts(run: nil) { counts in
      store.unfinishedTasks { unfinished in
        store.tests(matching: TestFilter(hasFate: true, limit: Quarantine.maxFates)) { tests in
          mailbox.post { (loop: EventLoop) in
            completion.value(opened(store, settings, counts, unfinished, tests, on: loop))
          }
        }
      }
    }
  }

  private static func opened(
    _ store: any TaskStore, _ settings: CoordinatorSettings, _ counts: Result<[TaskStatus: Int], StoreError>,
    _ unfinished: Result<[UnfinishedTask], StoreError>, _ tests: Result<[TestRecord], StoreError>, on loop: EventLoop
  ) -> Result<OwnStore, CoordinatorStartError> {
    do throws(StoreError) {
      let (counts, unfinished, tests) = (try counts.get(), try unfinished.get(), try tests.get())
      var configuration = settings.core
      configuration.isTraced = settings.record != nil
      settings.record?(.coordinatorStarted(unfinished.map(StoredTask.init)))
      do {
        let core = try CoordinatorCore(
          configuration: configuration, unfinished: unfinished, tests: tests, handlers: settings.handlers(),
          random: SystemRandomNumberGenerator(), at: loop.now)
        return .success(OwnStore(store: store, core: core, ended: counts.filter { $0.key.isTerminal }))
      } catch {
        store.close {}
        return .failure(.handlers("\(error)"))
      }
    } catch {
      store.close {}
      return .failure(.store(error))
    }
  }
}
