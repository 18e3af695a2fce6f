import Coordination
import Glibc
import Primitives
package import Reactor

/// A PostgreSQL server of one's own, to be broken on purpose: Debian's programs, a fresh cluster in a temporary folder,
/// everything written as durably as in production.
///
/// It belongs to this process and ends with it, however this one ends. Everything is called on its loop.
package final class DatabaseServer {
  /// Where it listens besides its socket.
  package struct Network {
    /// Its address there.
    package var host: String
    /// Who may come in from there, with the password: `10.77.0.0/16`.
    package var from: String
    /// What its command line is put behind, once it is started.
    package var prefix: () -> [String]

    package init(host: String, from: String, prefix: @escaping () -> [String]) {
      self.host = host
      self.from = from
      self.prefix = prefix
    }
  }

  package struct Problem: Error, CustomStringConvertible {
    package let description: String
  }

  package static let port: UInt16 = 5_432
  /// How long a start may take, with what it has to recover.
  private static let startLimit: Duration = .seconds(60)

  package let folder: String
  /// Who comes in with it may do anything, so it is in no command line: `PGPASSWORD` says it to those who may.
  package let password: String
  /// Whether it lets anybody in, as far as this process has to do with it.
  package var isRunning: Bool { isWanted && isReady }
  /// Called when it has ended although nobody ended it.
  package var onUnexpectedEnd: ((String) -> Void)?

  private let loop: EventLoop
  private let log: String
  private let network: Network?
  private var process: ChildProcess?
  private var isWanted = false
  private var isReady = false
  private var waiting: [(Problem?) -> Void] = []
  private var onEnd: (() -> Void)?

  /// Makes the folder and nothing else.
  package init(log: String, network: Network? = nil, on loop: EventLoop) throws(SystemError) {
    self.loop = loop
    self.log = log
    self.network = network
    var template = Array("/tmp/lifeline-postgres-XXXXXX".utf8CString)
    // SAFETY: mkdtemp changes the six last characters in place.
    guard unsafe mkdtemp(&template) != nil else {
      throw SystemError(call: "mkdtemp", subject: "/tmp", code: errno)
    }
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    password = (0..<4).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
    try TextFile.write(password + "\n", to: "\(folder)/password")
    try TextFile.write(Self.script, to: "\(folder)/start.sh")
  }

  /// Where this machine finds it, with its password: for this process only.
  package var secretURL: String {
    "postgres://\(Self.user):\(password)@/postgres?host=\(folder)&port=\(Self.port)"
  }
  /// What coordinators are told that reach it at an address, with `environment`.
  package static func url(host: String, port: UInt16 = DatabaseServer.port) -> String {
    "postgres://\(user)@\(host):\(port)/postgres"
  }
  package var environment: [String: String] { ["PGPASSWORD": password] }
  package var socket: SocketAddress { .unix(path: "\(folder)/.s.PGSQL.\(Self.port)") }
  private static let user = "lifeline"

  // MARK: Life

  /// Starts it, on what it has stored before; `ready` is called once it lets anybody in, or with what is wrong.
  package func start(_ ready: @escaping (Problem?) -> Void) {
    guard !isRunning else { return ready(nil) }
    waiting.append(ready)
    guard !isWanted else { return }
    isWanted = true
    startOnceGone()
  }

  private func startOnceGone() {
    guard isWanted else { return }
    // The one before may not have died yet.
    guard process == nil else {
      loop.schedule(after: .milliseconds(20)) { [weak self] in self?.startOnceGone() }
      return
    }
    do {
      process = try spawn()
      waitUntilReady(loop.now + Self.startLimit)
    } catch { answer(Problem(description: "PostgreSQL cannot be started: \(error)")) }
  }

  private func spawn() throws(SystemError) -> ChildProcess {
    let words =
      (network?.prefix() ?? [])
      + ["/bin/sh", "\(folder)/start.sh", folder, network?.host ?? "", network?.from ?? ""]
    var configuration = ChildProcess.Configuration(executable: words[0], arguments: Array(words.dropFirst()))
    configuration.environment = ProcessEnvironment.variables { !$0.hasPrefix("PG") && !$0.hasPrefix("LIFELINE_") }
    configuration.workingDirectory = "/"
    configuration.group = .newSession
    let descriptor = try FleetLog.open(log)
    defer { _ = close(descriptor) }
    configuration.standardOutput = .descriptor(descriptor)
    configuration.standardError = .descriptor(descriptor)
    return try ChildProcess.spawn(configuration, on: loop) { [weak self] status in self?.ended(status) }
  }

  private func answer(_ problem: Problem?) {
    if problem != nil { isWanted = false }
    let waiting = self.waiting
    self.waiting = []
    for ready in waiting { ready(problem) }
  }

  private func waitUntilReady(_ limit: Instant) {
    guard let pid = process?.pid, isWanted, !isReady else { return }
    // The server's own word: the first line is its process, the eighth what it is at.
    let lines = String(decoding: TextFile.read("\(folder)/data/postmaster.pid") ?? [], as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
    if lines.count >= 8, lines[0] == "\(pid)", lines[7].hasPrefix("ready") {
      isReady = true
      return answer(nil)
    }
    guard loop.now < limit else {
      return answer(Problem(description: "PostgreSQL was not ready after \(Self.startLimit); its log is \(log)"))
    }
    loop.schedule(after: .milliseconds(20)) { [weak self] in self?.waitUntilReady(limit) }
  }

  private func ended(_ status: ExitStatus) {
    let wasRunning = isReady
    process = nil
    isReady = false
    let onEnd = self.onEnd
    self.onEnd = nil
    if let onEnd {
      onEnd()
    } else if isWanted {
      isWanted = false
      let problem =
        status == .exited(Self.missing)
        ? "PostgreSQL is not installed; on Debian: apt-get install postgresql"
        : "PostgreSQL ended with \(status); its log is \(log)"
      if wasRunning { onUnexpectedEnd?(problem) } else { answer(Problem(description: problem)) }
    }
  }

  /// Kills the server and everything it started with SIGKILL, as a machine does that loses its power, but for the disk.
  package func kill(_ done: @escaping () -> Void = {}) {
    guard let process else { return done() }
    isWanted = false
    onEnd = done
    // Each of them leads a session of its own, so no signal to a group reaches them.
    let text = TextFile.read("/proc/\(process.pid)/task/\(process.pid)/children") ?? []
    let children = String(decoding: text, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
    process.signal(SIGKILL)
    for child in children { Glibc.kill(child, SIGKILL) }
  }

  /// Ends it in order, with whoever is connected; `done` is called once it has ended.
  package func stop(_ done: @escaping () -> Void) {
    guard let process else { return done() }
    isWanted = false
    onEnd = done
    process.signal(SIGINT)
  }

  /// Removes everything that it has stored.
  package func remove() { FileTree.remove(folder) }

  // MARK: How it is started

  /// The status that says that there is no PostgreSQL here.
  private static let missing: Int32 = 77

  /// The shell becomes the server, so that its process is the one that was started; as root it becomes the user postgres
  /// first, because PostgreSQL refuses to be root.
  private static let script = """
    set -eu
    folder=$1 host=$2 from=$3
    bin=
    for candidate in /usr/lib/postgresql/*/bin; do
      if [ -x "$candidate/postgres" ] && [ -x "$candidate/initdb" ]; then bin=$candidate; fi
    done
    if [ -z "$bin" ]; then
      bin=$(dirname "$(command -v initdb)") || exit \(missing)
      [ -x "$bin/postgres" ] || exit \(missing)
    fi
    as=
    if [ "$(id -u)" = 0 ]; then
      id postgres > /dev/null || exit \(missing)
      chown postgres: "$folder" "$folder/password"
      as="setpriv --reuid=postgres --regid=postgres --init-groups"
    fi
    if [ ! -e "$folder/ready" ]; then
      chmod 600 "$folder/password"
      $as "$bin/initdb" -D "$folder/data" -U \(user) -A scram-sha-256 --pwfile="$folder/password" -E UTF8 --locale=C \\
        --no-instructions --no-sync
      if [ -n "$from" ]; then echo "host all all $from scram-sha-256" >> "$folder/data/pg_hba.conf"; fi
      : > "$folder/ready"
    fi
    exec setpriv --pdeathsig INT ${as#setpriv} "$bin/postgres" -D "$folder/data" -c listen_addresses="$host" \\
      -c port=\(port) -c unix_socket_directories="$folder" -c fsync=on -c synchronous_commit=on -c max_connections=100 \\
      -c shared_buffers=32MB -c logging_collector=off

    """
}
