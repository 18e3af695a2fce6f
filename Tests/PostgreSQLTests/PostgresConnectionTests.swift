import PostgreSQL
import Primitives
import Reactor
import TestSupport
import Testing

@Suite(
  .timeLimit(.minutes(2)), .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct PostgresConnectionTests {
  /// Runs `body` with a connection that stands.
  private func withConnection(
    _ url: String, _ body: @escaping (PostgresConnection, EventLoop) -> Void
  ) throws {
    let address = try PostgresAddress(url)
    var connection: PostgresConnection?
    try withLoop(limit: .seconds(60)) { loop in
      connection = PostgresConnection.connect(address, within: .seconds(10), on: loop) { result in
        guard case .success = result, let connection else {
          Issue.record("\(result)")
          return loop.stop()
        }
        body(connection, loop)
      }
    }
    connection = nil
  }

  @Test func `values come back as they were sent`() throws {
    var seen: [String] = []
    try withConnection(PostgresServer.shared().url(database: "postgres")) { connection, loop in
      var (numbers, texts, bytes) = (SQLColumn(.int), SQLColumn(.text), SQLColumn(.bytes))
      var reals = SQLColumn(.double)
      for (index, value) in [Int64.min, 0, Int64.max].enumerated() {
        numbers.append(value)
        texts.append(index == 1 ? nil : "ä\(value)")
        bytes.append([0, UInt8(index), 255])
        reals.append(index == 2 ? nil : Double(index) - 0.5)
      }
      let sql = "SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::float8[])"
      let empty = SQLColumn(.text).value
      connection.run([
        .sql(sql, [numbers, texts, bytes, reals].map(\.value)),
        .sql("SELECT cardinality($1::text[]), $2::bool", empty, .bool(true)),
      ]) { answer in
        switch answer {
        case .failure(let error): Issue.record("\(error)")
        case .success(let results):
          for number in 0..<results[0].count {
            let row = results[0].row(number)
            seen.append(
              "\(row.int64(0)) \(row.string(1) ?? "-") \(row.bytes(2)) \(row.optionalDouble(3).map { "\($0)" } ?? "-")")
          }
          seen.append("\(results[1].row(0).int(0)) \(results[1].row(0).bool(1))")
        }
        connection.close()
        loop.stop()
      }
    }
    #expect(
      seen == [
        "\(Int64.min) ä\(Int64.min) [0, 0, 255] -0.5", "0 - [0, 1, 255] 0.5",
        "\(Int64.max) ä\(Int64.max) [0, 2, 255] -",
        "0 true",
      ])
  }

  @Test func `transactions are under way together, and one that fails is undone alone`() throws {
    var told: [String] = []
    try withConnection(PostgresServer.shared().freshURL()) { connection, loop in
      connection.run([.sql("CREATE TABLE t (x bigint PRIMARY KEY)")]) { _ in told.append("made") }
      connection.run([.sql("INSERT INTO t VALUES (1)"), .sql("INSERT INTO t VALUES (1)"), .sql("SELECT 1")]) { answer in
        if case .failure(let error) = answer { told.append("\(error.code) at \(error.call ?? -1)") }
      }
      connection.run([.sql("INSERT INTO t VALUES (2)")]) { _ in told.append("inserted") }
      #expect(connection.pendingTransactions == 3)
      connection.run([.sql("SELECT count(*) FROM t")]) { answer in
        if case .success(let results) = answer { told.append("\(results[0].row(0).int(0))") }
        connection.close()
        loop.stop()
      }
    }
    #expect(told == ["made", "23505 at 1", "inserted", "1"])
  }

  @Test func `a large transaction passes without waiting for the server`() throws {
    var sizes: [Int] = []
    try withConnection(PostgresServer.shared().url(database: "postgres")) { connection, loop in
      let large = [UInt8](repeating: 7, count: 3 << 20)
      for _ in 0..<4 {
        connection.run([.sql("SELECT $1::bytea", .bytes(large))]) { answer in
          if case .success(let results) = answer { sizes.append(results[0].row(0).bytes(0).count) }
          if sizes.count == 4 {
            connection.close()
            loop.stop()
          }
        }
      }
    }
    #expect(sizes == [Int](repeating: 3 << 20, count: 4))
  }

  @Test func `notifications arrive while nothing is asked`() throws {
    let url = try PostgresServer.shared().url(database: "postgres")
    var heard: [String] = []
    try withConnection(url) { connection, loop in
      connection.onNotification = { channel, text in
        heard.append("\(channel): \(text)")
        connection.close()
        loop.stop()
      }
      connection.run([.sql("LISTEN news")]) { _ in
        loop.schedule(after: .milliseconds(1)) {
          do { try PostgresServer.shared().execute("NOTIFY news, 'ä'") } catch { Issue.record("\(error)") }
        }
      }
    }
    #expect(heard == ["news: ä"])
  }

  @Test func `a connection that the server ends tells what was under way, and why`() throws {
    let server = try PostgresServer.shared()
    let url = try server.freshURL()
    var told: [String] = []
    try withConnection(url) { connection, loop in
      connection.onLoss = { error in
        told.append("lost \(error.code)")
        loop.stop()
      }
      connection.run([.sql("SELECT pg_sleep(60)")]) { answer in
        if case .failure(let error) = answer { told.append("\(error.kind)") }
      }
      loop.schedule(after: .milliseconds(20)) {
        do { try server.terminateBackends(of: PostgresServer.database(of: url)) } catch { Issue.record("\(error)") }
      }
    }
    #expect(told == ["connection", "lost 57P01"])
  }

  @Test(arguments: [
    ("postgres:///none?host=FOLDER&user=postgres", PostgresError.Kind.refused, "3D000"),
    ("postgres:///postgres?host=FOLDER&user=nobody_known", .refused, "28000"),
    ("postgres:///postgres?host=FOLDER/none&user=postgres", .connection, ""),
    ("postgres://localhost:1/postgres", .connection, ""),
    ("postgres://name.invalid/postgres", .connection, ""),
  ])
  func `a connection that cannot be made says whether it ever can`(
    _ url: String, _ kind: PostgresError.Kind, _ code: String
  ) throws {
    let address = try PostgresAddress(url.replacing("FOLDER", with: PostgresServer.shared().folder))
    var told: PostgresError?
    var connection: PostgresConnection?
    try withLoop(limit: .seconds(60)) { loop in
      connection = PostgresConnection.connect(address, within: .seconds(10), on: loop) { result in
        if case .failure(let error) = result { told = error }
        loop.stop()
      }
    }
    _ = connection
    #expect(told?.kind == kind)
    if kind == .refused { #expect([code, "28P01"].contains(told?.code ?? "")) }
    connection = nil
  }
}
