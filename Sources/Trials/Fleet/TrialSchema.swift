import PostgreSQL
import Primitives
import Reactor

/// A schema of the trial's own in somebody's database: whatever else is in it is never looked at.
final class TrialSchema {
  let name: String
  /// The database with this schema in front.
  let url: TrialDatabaseURL
  private let database: TrialDatabaseURL
  private let loop: EventLoop
  private var connection: PostgresConnection?
  private static let limit: Duration = .seconds(10)

  init(in database: TrialDatabaseURL, on loop: EventLoop) {
    name = "lifeline_trial_" + String(UInt64.random(in: .min ... .max), radix: 36)
    self.database = database
    self.loop = loop
    url = database.searching(name)
  }

  func make(_ done: @escaping (String?) -> Void) { run("CREATE SCHEMA \(name)", done) }
  func drop(_ done: @escaping (String?) -> Void) { run("DROP SCHEMA IF EXISTS \(name) CASCADE", done) }

  private func run(_ sql: String, _ done: @escaping (String?) -> Void) {
    let address: PostgresAddress
    do { address = try PostgresAddress(database.text) } catch { return done("\(error)") }
    let shown = address.shown
    let end: (PostgresError?) -> Void = { [self] error in
      connection?.close()
      connection = nil
      done(error.map { "\(shown): \(sql): \($0)" })
    }
    connection = PostgresConnection.connect(address, within: Self.limit, on: loop) { [self] result in
      if case .failure(let error) = result { return end(error) }
      connection?.run([.sql(sql)]) { answer in
        if case .failure(let error) = answer { end(error) } else { end(nil) }
      }
    }
  }
}
