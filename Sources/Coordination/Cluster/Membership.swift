import CoordinationCore
import Primitives
import Reactor
import Storage

/// What a coordinator has once it is a member of a shared store.
struct Membership {
  let store: any SharedTaskStore
  let core: ClusterCore
  let counts: [TaskStatus: Int]

  /// Opens the store, joins, and reads what must be known before anybody is served.
  ///
  /// The new member knows no task yet: what it takes over comes with its first renewal.
  static func join(
    _ settings: CoordinatorSettings, _ cluster: ClusterSettings,
    opening open: (EventLoop) throws(StoreError) -> any SharedTaskStore, on loop: EventLoop,
    _ completion: @escaping (Result<Membership, CoordinatorStartError>) -> Void
  ) {
    let store: any SharedTaskStore
    do { store = try open(loop) } catch { return completion(.failure(.store(error))) }
    let (mailbox, joinedAt) = (loop.mailbox, loop.now)
    let completion = LoopBound(completion, to: loop)
    let fail: @Sendable (StoreError) -> Void = { error in
      store.close {}
      mailbox.post { completion.value(.failure(.store(error))) }
    }
    store.join(name: cluster.name, address: cluster.address, lease: cluster.core.lease) { joined in
      store.counts(run: nil) { counts in
        store.tests(matching: TestFilter(hasFate: true, limit: Quarantine.maxFates)) { tests in
          let member: MemberID
          let known: ([TaskStatus: Int], [TestRecord])
          do throws(StoreError) {
            member = try joined.get()
            known = (try counts.get(), try tests.get())
          } catch { return fail(error) }
          mailbox.post { (loop: EventLoop) in
            do {
              var configuration = settings.core
              configuration.isTraced = settings.record != nil
              configuration.isShared = true
              let core = try CoordinatorCore(
                configuration: configuration, tests: known.1, handlers: settings.handlers(),
                random: SystemRandomNumberGenerator(), at: loop.now)
              let cluster = ClusterCore(
                core, member: member, configuration: cluster.core, joinedAt: joinedAt, at: loop.now)
              completion.value(.success(Membership(store: store, core: cluster, counts: known.0)))
            } catch {
              store.close {}
              completion.value(.failure(.handlers("\(error)")))
            }
          }
        }
      }
    }
  }
}
