import Glibc
import PostgreSQL
import Primitives
import Reactor
import TestSupport
import Testing

/// A server on TCP that wants TLS and a password.
@Suite(
  .timeLimit(.minutes(2)), .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct PostgresTLSTests {
  private final class Secured: Sendable {
    let server: PostgresServer
    let authority: String
    let otherAuthority: String
    var folder: String { server.folder }

    init() throws {
      let (certificates, others) = (try TestCertificates(), try TestCertificates())
      server = try PostgresServer(tls: certificates.issue("database", names: ["localhost", "127.0.0.1"]))
      try server.execute("CREATE ROLE worker LOGIN PASSWORD '\(PostgresTLSTests.password)'")
      // Into the server's folder, which goes with the process.
      authority = try Self.write(TestProcess.contents(of: certificates.caFile), to: "\(server.folder)/ca.pem")
      otherAuthority = try Self.write(TestProcess.contents(of: others.caFile), to: "\(server.folder)/other-ca.pem")
    }

    private static func write(_ bytes: [UInt8], to path: String) throws -> String {
      let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
      guard descriptor >= 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
        throw TimedOut("\(path): errno \(errno)")
      }
      close(descriptor)
      return path
    }

    /// A file of passwords as libpq takes it, which must be nobody else's to read; each test has its own.
    func passwords(_ password: String) throws -> String {
      let text = "*:\(server.port):*:worker:\(password)\n"
      return try Self.write(Array(text.utf8), to: "\(folder)/passwords-\(UInt64.random(in: 0 ... .max))")
    }
  }

  private static let password = "right-secret"
  private static let shared = Result { try Secured() }

  /// The outcome of an attempt to connect, and what `body` made of the connection.
  private func connect(
    _ url: String, _ body: @escaping (PostgresConnection, EventLoop) -> Void = { _, loop in loop.stop() }
  ) throws -> PostgresError? {
    let address = try PostgresAddress(url)
    var told: PostgresError?
    var connection: PostgresConnection?
    try withLoop(limit: .seconds(60)) { loop in
      connection = PostgresConnection.connect(address, within: .seconds(20), on: loop) { result in
        if case .failure(let error) = result { told = error }
        guard case .success = result, let connection else { return loop.stop() }
        body(connection, loop)
      }
    }
    connection = nil
    return told
  }

  private func url(_ secured: Secured, password: String = Self.password, _ changes: [String: String] = [:]) throws
    -> String
  {
    var settings = [
      "host": "localhost", "port": "\(secured.server.port)", "user": "worker", "dbname": "postgres",
      "sslmode": "verify-full", "sslrootcert": secured.authority,
      "passfile": try secured.passwords(password),
    ]
    settings.merge(changes) { $1 }
    return settings.map { "\($0.key)='\($0.value)'" }.joined(separator: " ")
  }

  @Test func `large transactions pass through TLS, with a password from a file`() throws {
    let secured = try Self.shared.get()
    // Around what a record, and libpq's own buffer, hold.
    let sizes = [1, 8_191, 8_192, 16_383, 16_384, 16_385, 100_000, 3 << 20]
    var seen: [Int] = []
    var isSecured: Bool?
    let error = try connect(url(secured)) { connection, loop in
      connection.run([.sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")]) { answer in
        if case .success(let results) = answer { isSecured = results[0].row(0).bool(0) }
      }
      for (index, size) in sizes.enumerated() {
        let bytes = [UInt8](repeating: UInt8(index), count: size)
        connection.run([.sql("SELECT $1::bytea", .bytes(bytes)), .sql("SELECT 1")]) { answer in
          if case .success(let results) = answer {
            let found = results[0].row(0).bytes(0)
            seen.append(found == bytes ? found.count : -1)
          }
          if index == sizes.count - 1 {
            connection.close()
            loop.stop()
          }
        }
      }
    }
    #expect(error == nil)
    #expect(isSecured == true)
    #expect(seen == sizes)
  }

  @Test func `a server whose authority is not ours, or whose name is another's, is refused`() throws {
    let secured = try Self.shared.get()
    let foreign = try connect(url(secured, ["sslrootcert": secured.otherAuthority]))
    #expect(foreign?.kind == .refused)
    #expect(foreign?.message.contains("certificate verify failed") == true)
    let misnamed = try connect(url(secured, ["host": "db.example", "hostaddr": "127.0.0.1"]))
    #expect(misnamed?.kind == .refused)
    #expect(misnamed?.message.contains("does not match host name \"db.example\"") == true)
    let missing = try connect(url(secured, ["sslrootcert": "\(secured.folder)/none.pem"]))
    #expect(missing?.kind == .refused)
    #expect(missing?.message.contains("none.pem") == true)
  }

  @Test(arguments: ["wrong-secret", ""])
  func `a password that is wrong, or is none, is said to be, and not which it was`(_ password: String) throws {
    let secured = try Self.shared.get()
    let error = try connect(url(secured, password: password))
    #expect(error?.kind == .refused)
    let text = error?.description ?? ""
    #expect(text.contains("password") && text.contains("worker") || text.contains("no password supplied"), "\(text)")
    #expect(!text.contains("secret"))
  }

  @Test func `a connection without TLS is refused where the server wants it`() throws {
    let secured = try Self.shared.get()
    let error = try connect(url(secured, ["sslmode": "disable"]))
    #expect(error?.kind == .refused)
    #expect(error?.message.contains("no encryption") == true)
  }

  @Test func `of several servers the next is tried where one refuses`() throws {
    let secured = try Self.shared.get()
    var isConnected = false
    // Nobody listens at the first port, and the second server is called by a name that is not its own.
    let hosts = [
      "host": "127.0.0.1,db.example,127.0.0.1", "hostaddr": "127.0.0.1,127.0.0.1,127.0.0.1",
      "port": "1,\(secured.server.port),\(secured.server.port)",
    ]
    let error = try connect(url(secured, hosts)) { _, loop in
      isConnected = true
      loop.stop()
    }
    #expect(error == nil)
    #expect(isConnected)
  }
}
