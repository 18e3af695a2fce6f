import CoordinationCore
import Primitives

/// The table `tests`: what is remembered of a test beyond its runs.
final class TestRows {
  private let connection: SQLiteConnection
  private let readMean: SQLiteStatement
  private let putMean: SQLiteStatement
  private let readFate: SQLiteStatement
  private let putFate: SQLiteStatement
  private let clearFate: SQLiteStatement
  private let prune: SQLiteStatement
  private let page: SQLiteStatement

  init(_ connection: SQLiteConnection) throws(StoreError) {
    self.connection = connection
    readMean = try connection.prepare("SELECT mean_us FROM tests WHERE suite = ?1 AND test = ?2")
    putMean = try connection.prepare(
      """
      INSERT INTO tests (suite, test, mean_us, runs, kills, quarantined, changed_at) VALUES (?1, ?2, ?3, 1, 0, 0, 0)
      ON CONFLICT (suite, test) DO UPDATE SET mean_us = ?3, runs = runs + 1
      """)
    readFate = try connection.prepare(
      "SELECT kills, quarantined, reason, changed_at FROM tests WHERE suite = ?1 AND test = ?2")
    putFate = try connection.prepare(
      """
      INSERT INTO tests (suite, test, runs, kills, quarantined, reason, changed_at) VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6)
      ON CONFLICT (suite, test) DO UPDATE SET kills = ?3, quarantined = ?4, reason = ?5, changed_at = ?6
      """)
    clearFate = try connection.prepare(
      "UPDATE tests SET kills = 0, quarantined = 0, reason = NULL, changed_at = 0 WHERE suite = ?1 AND test = ?2")
    prune = try connection.prepare(
      "DELETE FROM tests WHERE suite = ?1 AND test = ?2 AND runs = 0 AND kills = 0 AND quarantined = 0")
    page = try connection.prepare(
      """
      SELECT suite, test, mean_us, runs, kills, quarantined, reason, changed_at FROM tests
      WHERE (suite, test) > (?1, ?2) AND (?3 IS NULL OR suite = ?3) AND (?4 = 0 OR kills > 0 OR quarantined > 0)
      ORDER BY suite, test LIMIT ?5
      """)
  }

  func ran(_ name: TestName, _ duration: Duration) throws(StoreError) {
    let blended: Duration = .milliseconds(TestRecord.blend(try mean(of: name), with: duration.inMilliseconds))
    try bind(name, to: putMean)
    try putMean.bind(3, Int64((blended.inSeconds * 1e6).rounded()))
    try putMean.run()
  }

  private func mean(of name: TestName) throws(StoreError) -> Double? {
    try bind(name, to: readMean)
    defer { readMean.reset() }
    return try readMean.step() ? readMean.optionalInt64(0).map { Double($0) / 1_000 } : nil
  }

  func change(_ name: TestName, _ change: TestFateChange, at wall: WallTime) throws(StoreError) {
    guard let fate = TestFate.after(change, try fate(of: name), at: wall) else {
      try bind(name, to: clearFate)
      try clearFate.run()
      try bind(name, to: prune)
      return try prune.run()
    }
    try bind(name, to: putFate)
    try putFate.bind(3, fate.kills)
    try putFate.bind(4, fate.isQuarantined ? 1 : 0)
    try putFate.bind(5, fate.reason)
    try putFate.bind(6, fate.changedAt.milliseconds)
    try putFate.run()
  }

  private func fate(of name: TestName) throws(StoreError) -> TestFate? {
    try bind(name, to: readFate)
    defer { readFate.reset() }
    return try readFate.step() ? fate(readFate, from: 0) : nil
  }

  private func fate(_ row: SQLiteStatement, from column: Int32) -> TestFate? {
    let fate = TestFate(
      kills: row.int(column), isQuarantined: row.int64(column + 1) != 0, reason: row.string(column + 2) ?? "",
      changedAt: WallTime(milliseconds: row.int64(column + 3)))
    return fate.isClear ? nil : fate
  }

  func page(_ filter: TestFilter) throws(StoreError) -> [TestRecord] {
    defer { page.reset() }
    // Names are never empty, so nothing is hidden behind two empty ones.
    try page.bind(1, filter.after?.suite ?? filter.suite ?? "")
    try page.bind(2, filter.after?.test ?? "")
    try page.bind(3, filter.suite)
    try page.bind(4, filter.hasFate ? 1 : 0)
    try page.bind(5, max(filter.limit, 1))
    var tests: [TestRecord] = []
    while try page.step() {
      tests.append(
        TestRecord(
          TestName(suite: page.string(0) ?? "", test: page.string(1) ?? ""),
          duration: page.optionalInt64(2).map { .microseconds($0) }, runs: page.int(3), fate: fate(page, from: 4)))
    }
    return tests
  }

  private func bind(_ name: TestName, to statement: SQLiteStatement) throws(StoreError) {
    try statement.bind(1, name.suite)
    try statement.bind(2, name.test)
  }
}
