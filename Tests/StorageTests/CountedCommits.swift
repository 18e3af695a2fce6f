import CoordinationCore
import PostgresStorage
import Primitives
import Storage
import Synchronization
import TestSupport

/// Commits one by one, each with a task of its own and one more run of the same test: one that is lost or done twice shows.
final class CountedCommits: Sendable {
  static let test = TestName(suite: "s", test: "t")

  let store: PostgresStore
  let acknowledged = EventLog<Int>("commits acknowledged")
  let failed = Mutex<[StoreError]>([])
  private let next = Atomic(0)

  init(_ store: PostgresStore) { self.store = store }

  /// Keeps `width` commits waiting until there were `total`.
  func run(_ total: Int, width: Int) { for _ in 0..<width { step(total) } }

  private func step(_ total: Int) {
    let number = next.add(1, ordering: .relaxed).oldValue
    guard number < total else { return }
    store.commit([.submit(task("t\(number)")), .testRan(Self.test, .seconds(1))]) { result in
      switch result {
      case .success: self.acknowledged.put(number)
      case .failure(let error): self.failed.withLock { $0.append(error) }
      }
      self.step(total)
    }
  }

  /// How many of them a store has.
  static func runs(_ store: PostgresStore) async throws -> Int { try await store.tests().first?.runs ?? 0 }
}
