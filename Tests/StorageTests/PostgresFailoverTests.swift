import CoordinationCore
import Glibc
import Primitives
import Reactor
import Storage
import Synchronization
import TestSupport
import Testing

@testable import PostgresStorage

/// A database of two servers, of which one stands by for the other: what was acknowledged is on both, and the store goes
/// to whichever takes changes.
@Suite(
  .serialized, .timeLimit(.minutes(5)),
  .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct PostgresFailoverTests {
  /// Two servers with a database, and two members of it.
  private final class Pair {
    let first: PostgresServer
    let second: PostgresServer
    let (a, b): (PostgresStore, PostgresStore)
    private(set) var ids: (a: MemberID, b: MemberID) = (MemberID(0), MemberID(0))

    init(lease: Duration = .seconds(60)) async throws {
      first = try PostgresServer(synchronizes: true)
      _ = try first.url(database: "work")
      second = try PostgresServer(standbyOf: first)
      // Without a word of which of them it wants, which is what a store wants anyway.
      let url = PostgresServer.url(database: "work", of: [first, second]).replacing(
        "&target_session_attrs=read-write", with: "")
      (a, b) = (try Postgres.open(url), try Postgres.open(url))
      ids = (try await a.join("a", lease: lease), try await b.join("b", lease: lease))
    }

    var stores: [PostgresStore] { [a, b] }

    /// Waits until each can say to the other what it wants to.
    func converse(_ signals: [Signals]) throws {
      for (sender, receiver) in [(0, 1), (1, 0)] {
        let (from, to) = ([ids.a, ids.b][sender], [ids.a, ids.b][receiver])
        let word = "\(MonotonicClock.now().nanoseconds)"
        try eventually("message from \(from) to \(to)") {
          stores[sender].send(word, to: to)
          return signals[receiver].all.contains(.message(word, from: from)) ? true : nil
        }
      }
    }

    func close() async { for store in stores { await store.close() } }
  }

  /// Waits until a store gives this reason for being away.
  private func away(_ store: PostgresStore, because reason: String) async throws {
    let end = MonotonicClock.now() + .seconds(20)
    var last: StoreError?
    while MonotonicClock.now() < end {
      last = await storeError { _ = try await store.tasks() }
      if case .unreachable(_, let text) = last, text.contains(reason) { return }
      poll(nil, 0, 5)
    }
    throw TimedOut("not away because of \(reason), but \(String(describing: last))")
  }

  @Test func `commits go on at the standby that is promoted, and none is lost or done twice`() async throws {
    let pair = try await Pair()
    let signals = [pair.a.signals("a"), pair.b.signals("b")]
    try pair.converse(signals)
    let commits = CountedCommits(pair.a)
    let total = 900
    commits.run(total, width: 40)
    try commits.acknowledged.wait(for: "commits", limit: .seconds(60)) { $0.count >= 300 ? true : nil }
    try pair.first.kill9()
    for log in signals { try log.first("loss") { $0 == .reachable(false) } }
    // The standby is there, and not to be had.
    for store in pair.stores { try await away(store, because: "read-only") }
    let before = commits.acknowledged.count
    #expect(before < total)
    try pair.second.promote()
    for log in signals { try log.first("return", limit: .seconds(30)) { $0 == .reachable(true) } }
    try commits.acknowledged.wait(for: "the last commit", limit: .seconds(60)) { $0.count == total ? true : nil }
    #expect(commits.failed.withLock { $0 } == [])
    #expect(try await pair.b.counts() == [.queued: total])
    #expect(try await CountedCommits.runs(pair.b) == total)
    for log in signals { try log.first("word of what may be missing") { $0 == .mayHaveMissed } }
    try pair.converse(signals)
    for store in pair.stores { #expect(try await store.renew().members.map(\.id) == [pair.ids.a, pair.ids.b]) }
    let claimed = (try await pair.a.claimNames(100), try await pair.b.claimNames(100))
    #expect(Set(claimed.0 + claimed.1).count == 200)

    // What was the first comes back as the second's standby; whoever has lost its connection passes it by.
    try pair.first.follow(pair.second)
    let number = signals.map { $0.count }
    try pair.second.terminateBackends(of: "work")
    for (log, start) in zip(signals, number) {
      try log.first("return", from: start, limit: .seconds(30)) { $0 == .reachable(true) }
    }
    try await pair.a.commit([.testRan(CountedCommits.test, .seconds(1))])
    #expect(try await CountedCommits.runs(pair.b) == total + 1)
    #expect(try pair.second.execute("SELECT pg_is_in_recovery()") == ["f"])
    try pair.converse(signals)
    await pair.close()
  }

  @Test func `a first server that stands still and answers nobody keeps nobody from the second`() async throws {
    let pair = try await Pair()
    let signals = [pair.a.signals("a"), pair.b.signals("b")]
    for store in pair.stores { store.perform { $0.expectAnswers(within: .milliseconds(300)) } }
    try await pair.a.commit([.submit(task("t0")), .testRan(CountedCommits.test, .seconds(1))])
    pair.first.suspend()
    try pair.second.promote()
    // It is asked by one connection of each alone; the other one would notice nothing.
    for store in pair.stores { #expect(try await store.renew().members.count == 2) }
    try await pair.b.commit([.submit(task("t1")), .testRan(CountedCommits.test, .seconds(1))])
    #expect(try await pair.a.claimNames() == ["t0", "t1"])
    #expect(try await CountedCommits.runs(pair.a) == 2)
    try pair.converse(signals)
    #expect(try pair.second.backends(of: "work", client: "lifeline").count == 4)
    try pair.first.kill9()
    await pair.close()
  }

  @Test func `what only the server that is lost had is done again at the other, and acknowledged then`() async throws {
    let pair = try await Pair()
    // What tasks need is known from here on, so that a commit is one transaction.
    try await pair.a.commit([.submit(task("before"))])
    let commits = CountedCommits(pair.a)
    pair.second.suspend()
    // It is done at the first, and waits for the second. Whoever ends that connection leaves it done there alone.
    commits.run(1, width: 1)
    let waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'lifeline'"
    let before = try eventually("commit that waits for the standby") {
      let found = try pair.first.execute(waiting)
      return found.isEmpty ? nil : found
    }
    try pair.first.execute("SELECT pg_terminate_backend(\(before[0]))")
    try eventually("question whether it was done") {
      try pair.first.execute(waiting).contains { !before.contains($0) } ? true : nil
    }
    #expect(try pair.first.execute("SELECT runs FROM lifeline_tests", database: "work") == ["1"], "it is done there")
    #expect(commits.acknowledged.count == 0)
    try pair.first.kill9()
    pair.second.resume()
    try pair.second.promote()
    try commits.acknowledged.wait(for: "the commit", limit: .seconds(30)) { $0.count == 1 ? true : nil }
    #expect(try pair.second.execute("SELECT runs FROM lifeline_tests", database: "work") == ["1"])
    await pair.close()
  }

  @Test func `a member whose acknowledged changes are gone forgets what it believed, and starts over`() async throws {
    try await withTwoMembers { a, b, ids, shared in
      for number in 0..<3 { try await a.commit([.submit(task("t\(number)"))]) }
      #expect(try await a.claimNames(3).count == 3)
      // As a standby has it that had not heard of the last transactions.
      try shared.server.execute(
        """
        UPDATE lifeline_members SET last_batch = last_batch - 1 WHERE id = \(ids.a);
        UPDATE lifeline_unfinished SET owner = NULL, claim = NULL
        """, database: shared.database)
      #expect(try await b.claimNames(3).count == 3)
      #expect(await storeError { try await a.commit([.release(id("t0"))]) } == .fenced)
      #expect(try await a.join("a") != ids.a)
      #expect(try await b.renew().members.count == 2)
    }
  }

  @Test func `whoever is back first gives the others time to be back, however short their leases`() async throws {
    let lease = Duration.milliseconds(30)
    try await withTwoMembers(lease: lease, other: lease) { a, b, _, shared in
      let signals = [a.signals("a"), b.signals("b")]
      try shared.server.terminateBackends(of: shared.database)
      for log in signals { try log.first("return") { $0 == .reachable(true) } }
      // By its clock the other's lease has long been over.
      let end = MonotonicClock.now() + lease * 5
      while MonotonicClock.now() < end { #expect(try await a.renew().members.count == 2) }
      #expect(try await b.renew().members.count == 2)
    }
  }

  @Test func `a lease by a clock that was far ahead keeps no dead member alive`() async throws {
    let lease = Duration.milliseconds(100)
    try await withTwoMembers(lease: lease, other: .seconds(60)) { a, b, ids, shared in
      try await b.commit([.submit(task("t"))])
      #expect(try await b.claimNames() == ["t"])
      // As of a server whose clock was an hour ahead of this one's; the one lives and renews, the other does not.
      try shared.server.execute(
        "UPDATE lifeline_members SET expires_at = expires_at + interval '1 hour'", database: shared.database)
      let end = MonotonicClock.now() + .seconds(20)
      var members: [MemberID] = []
      while members != [ids.a], MonotonicClock.now() < end { members = try await a.renew().members.map(\.id) }
      #expect(members == [ids.a])
      #expect(try await a.claimNames() == ["t"])
      #expect(await storeError { _ = try await b.renew() } == .fenced)
    }
  }
}
