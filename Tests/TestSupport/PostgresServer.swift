import Glibc
import Primitives
import Reactor
import Synchronization

/// A PostgreSQL server of the test process's own: Debian's program, a cluster in a temporary folder, reached by a Unix socket
/// in it. It ends, and its folder goes, with the process at the latest.
public final class PostgresServer: Sendable {
  /// Without it tests that need it are skipped, unless `CI` asks for all.
  public static let isUsable = folderOfPrograms != nil || getenv("CI").map { String(cString: $0) } == "true"

  private static let sharedServer = Result { try PostgresServer() }

  /// The one that the tests of this process share; each takes a database of its own. Nobody stops it.
  public static func shared() throws -> PostgresServer { try sharedServer.get() }

  /// Holds the cluster and the socket.
  public let folder: String
  /// Of its socket, and on loopback where it listens there.
  public let port: UInt16
  private let programs: String
  private let options: [String]
  private let process = Mutex<TestProcess?>(nil)
  private let databases = Mutex<(names: Set<String>, fresh: Int)>((["postgres"], 0))

  /// Makes a cluster and starts its server, which takes some seconds.
  /// - Parameters:
  ///   - synchronizes: whether it waits for the disk. Without it survives its own death, not the machine's.
  ///   - options: further settings of the server, `NAME=VALUE`.
  ///   - tls: a certificate for loopback; with it the server takes connections there too, by TLS and password alone.
  public init(
    synchronizes: Bool = false, options: [String] = [], tls: TestCertificates.Files? = nil
  ) throws {
    (programs, folder) = try Self.place()
    port = tls == nil ? 5_432 : try Self.freePort()
    self.options = Self.options(folder, synchronizes: synchronizes) + options + (tls == nil ? [] : Self.secured(folder))
    Leftovers.add(folder)
    try run("initdb", ["-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"])
    if let tls {
      try give(TestProcess.contents(of: tls.certificate), as: "server.pem")
      try give(TestProcess.contents(of: tls.key), as: "server-key.pem")
      try give(Array("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n".utf8), as: "access.conf")
    }
    try start()
  }

  /// Makes a server that stands by for another: what that one acknowledges from then on is on the disk of both.
  public init(standbyOf primary: PostgresServer) throws {
    (programs, folder) = try Self.place()
    port = 5_432
    options = Self.options(folder, synchronizes: true)
    Leftovers.add(folder)
    try follow(primary)
  }

  deinit {
    try? kill9()
    Leftovers.remove(folder)
  }

  private var data: String { "\(folder)/data" }

  // MARK: Its place

  private static func place() throws -> (programs: String, folder: String) {
    guard let programs = folderOfPrograms else {
      throw TimedOut("PostgreSQL is not installed; make deps-postgresql installs it")
    }
    var template = Array("/tmp/lifeline-postgres-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw TimedOut("mkdtemp: errno \(errno)") }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    belongToPostgres(folder)
    return (programs, folder)
  }

  private static func belongToPostgres(_ path: String) {
    if geteuid() == 0, let user = getpwnam("postgres") { chown(path, user.pointee.pw_uid, user.pointee.pw_gid) }
  }

  private static func options(_ folder: String, synchronizes: Bool) -> [String] {
    [
      "listen_addresses=", "unix_socket_directories=\(folder)", "fsync=\(synchronizes ? "on" : "off")",
      "max_connections=200", "shared_buffers=64MB", "autovacuum_naptime=5s", "log_min_messages=fatal",
    ]
  }

  private static func secured(_ folder: String) -> [String] {
    [
      "listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=\(folder)/server.pem",
      "ssl_key_file=\(folder)/server-key.pem", "hba_file=\(folder)/access.conf", "password_encryption=scram-sha-256",
    ]
  }

  /// One that the system has given out a moment ago, for the server takes none that is to be chosen.
  private static func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let error = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) != 0 ? errno : 0 }
    }
    guard error == 0 else { throw TimedOut("bind: errno \(error)") }
    withUnsafeMutablePointer(to: &address) { pointer in
      _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return UInt16(bigEndian: address.sin_port)
  }

  /// Puts a file that only the server reads into its folder.
  private func give(_ bytes: [UInt8], as name: String) throws {
    let path = "\(folder)/\(name)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0, write(descriptor, bytes, bytes.count) == bytes.count, close(descriptor) == 0 else {
      throw TimedOut("\(path): errno \(errno)")
    }
    Self.belongToPostgres(path)
  }

  // MARK: Standing by

  /// Stands by for another from now on, with a fresh copy of everything that it has.
  public func follow(_ primary: PostgresServer) throws {
    try kill9()
    TemporaryDirectory.removeTree(data)
    let name = String(folder.split(separator: "-").last ?? "standby")
    let source = "host=\(primary.folder) port=\(primary.port) user=postgres application_name=\(name)"
    try run("pg_basebackup", ["-D", data, "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync"])
    try start()
    try primary.execute("ALTER SYSTEM SET synchronous_standby_names = '\"\(name)\"'")
    try primary.execute("SELECT pg_reload_conf()")
    try eventually("standby that is waited for") {
      try primary.execute("SELECT sync_state FROM pg_stat_replication WHERE application_name = '\(name)'") == ["sync"]
        ? true : nil
    }
  }

  /// Takes changes from now on, whatever has become of the one that it stood by for.
  public func promote() throws {
    try execute("SELECT pg_promote()")
  }

  /// All its processes stand still: it is there, and answers nobody.
  public func suspend() { signalAll(SIGSTOP) }
  public func resume() { signalAll(SIGCONT) }

  private func signalAll(_ number: Int32) {
    guard let server = process.withLock({ $0 }) else { return }
    server.signal(number)
    for child in Self.children(of: server.pid) { kill(child, number) }
  }

  /// The address of a database of servers of which one takes changes.
  public static func url(database: String, of servers: [PostgresServer]) -> String {
    "postgres:///\(database)?host=\(servers.map(\.folder).joined(separator: ","))&user=postgres"
      + "&target_session_attrs=read-write"
  }

  // MARK: Databases

  /// The address of a database, which is made when it does not exist.
  public func url(database: String) throws -> String {
    if databases.withLock({ $0.names.insert(database).inserted }) {
      // Copying by the log is what a small template is done with soonest.
      try execute("CREATE DATABASE \"\(database)\" TEMPLATE template0 STRATEGY wal_log")
    }
    return "postgres:///\(database)?host=\(folder)&user=postgres"
  }

  /// The address of a new database.
  public func freshURL() throws -> String {
    let number = databases.withLock { state in
      state.fresh += 1
      return state.fresh
    }
    return try url(database: "fresh\(number)")
  }

  /// Runs SQL as whoever owns the server; the rows' columns come with `|` between them.
  @discardableResult
  public func execute(_ sql: String, database: String = "postgres") throws -> [String] {
    try run(
      "psql",
      ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", "\(port)", "-U", "postgres", "-d", database, "-c", sql])
  }

  /// The name of the database in an address that `url` gave.
  public static func database(of url: String) -> String {
    String(url.dropFirst("postgres:///".count).prefix { $0 != "?" })
  }

  /// Starts the server again, and returns once it takes connections.
  public func start() throws {
    var arguments = ["-D", data, "-p", "\(port)"]
    for option in options { arguments += ["-c", option] }
    // The last processes of one that was killed may hold its memory for a moment longer.
    for _ in 0..<50 {
      let (program, all) = Self.asPostgres("\(programs)/postgres", arguments, endsWithParent: true)
      let server = try TestProcess(program, all)
      process.withLock { $0 = server }
      while !server.hasEnded {
        if (try? run("pg_isready", ["-q", "-h", folder, "-p", "\(port)"])) != nil { return }
        poll(nil, 0, 20)
      }
      poll(nil, 0, 50)
    }
    let log = process.withLock { $0?.errors.all ?? [] }
    throw TimedOut("PostgreSQL did not start:\n\(log.joined(separator: "\n"))")
  }

  /// `kill -9` of the server and of everything that it started; returns once they are gone.
  public func kill9() throws {
    guard let server = process.withLock({ $0.take() }) else { return }
    let children = Self.children(of: server.pid)
    // First it, which would start anew when it saw others die.
    server.signal(SIGKILL)
    for child in children { kill(child, SIGKILL) }
    try server.exit()
    try eventually("end of the server's processes") {
      children.allSatisfy { kill($0, 0) != 0 || Self.parent(of: $0) == nil } ? true : nil
    }
  }

  /// Processes that serve connections to a database, of clients whose name begins with `client`.
  public func backends(of database: String, client: String = "") throws -> [Int32] {
    try execute(
      """
      SELECT pid FROM pg_stat_activity
      WHERE datname = '\(database)' AND pid <> pg_backend_pid() AND application_name LIKE '\(client)%' ORDER BY pid
      """
    ).compactMap { Int32($0) }
  }

  /// Ends every connection to a database, as an administrator would.
  public func terminateBackends(of database: String) throws {
    try execute(
      """
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(database)' AND pid <> pg_backend_pid()
      """)
  }

  @discardableResult
  private func run(_ name: String, _ arguments: [String]) throws -> [String] {
    let (program, all) = Self.asPostgres("\(programs)/\(name)", arguments, endsWithParent: false)
    let process = try TestProcess(program, all, environment: ["LC_ALL": "C", "TZ": "UTC"])
    guard try process.exit(limit: .seconds(60)) == .exited(0) else {
      throw TimedOut("\(name): \(process.errors.all.joined(separator: "\n"))")
    }
    return process.output.all
  }

  /// The server refuses to run as root.
  private static func asPostgres(
    _ program: String, _ arguments: [String], endsWithParent: Bool
  ) -> (String, [String]) {
    var prefix = endsWithParent ? ["--pdeathsig", "KILL"] : []
    if geteuid() == 0 { prefix += ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] }
    guard !prefix.isEmpty, let setpriv = TestProcess.find("setpriv") else { return (program, arguments) }
    return (setpriv, prefix + [program] + arguments)
  }

  /// Debian keeps each version's programs in a folder of its own, off the `PATH`.
  private static let folderOfPrograms: String? = {
    guard let folder = opendir("/usr/lib/postgresql") else { return nil }
    defer { closedir(folder) }
    var versions: [Int] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if let version = Int(name), version >= 14 { versions.append(version) }
    }
    return versions.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }.first {
      access("\($0)/postgres", X_OK) == 0 && access("\($0)/initdb", X_OK) == 0
    }
  }()

  private static func children(of pid: Int32) -> [Int32] {
    String(decoding: TestProcess.contents(of: "/proc/\(pid)/task/\(pid)/children"), as: UTF8.self)
      .split(separator: " ").compactMap { Int32($0) }
  }

  /// `nil` once a process is gone, or is gone but for its parent's notice.
  private static func parent(of pid: Int32) -> Int32? {
    let line = String(decoding: TestProcess.contents(of: "/proc/\(pid)/stat"), as: UTF8.self)
    guard let end = line.lastIndex(of: ")") else { return nil }
    let fields = line[line.index(after: end)...].split(separator: " ")
    guard fields.count > 1, fields[0] != "Z" else { return nil }
    return Int32(fields[1])
  }
}

/// Folders of servers that still run when the process ends.
private enum Leftovers {
  private static let folders = Mutex<Set<String>>([])
  private static let atExit: Void = {
    atexit { Leftovers.removeAll() }
  }()

  static func add(_ folder: String) {
    _ = atExit
    folders.withLock { _ = $0.insert(folder) }
  }

  static func remove(_ folder: String) {
    folders.withLock { _ = $0.remove(folder) }
    TemporaryDirectory.removeTree(folder)
  }

  private static func removeAll() {
    for folder in folders.withLock({ $0 }) {
      let line = String(decoding: TestProcess.contents(of: "\(folder)/data/postmaster.pid"), as: UTF8.self)
      if let pid = line.split(separator: "\n").first.flatMap({ Int32($0) }), pid > 1 {
        kill(pid, SIGKILL)
        // Its processes end by themselves as soon as they see it.
        for _ in 0..<100 where kill(pid, 0) == 0 { poll(nil, 0, 10) }
      }
      for _ in 0..<100 {
        TemporaryDirectory.removeTree(folder)
        if access(folder, F_OK) != 0 { break }
        poll(nil, 0, 10)
      }
    }
  }
}
