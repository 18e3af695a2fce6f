import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc
import PostgresStorage
import Primitives
import Storage

/// Where `lifeline coordinator` keeps its tasks, and with whom.
enum StoreOptions {
  static let store = Option(
    "store", .string, default: "lifeline.db", as: "FILE",
    "The file that keeps tasks, created when missing; the word memory keeps them nowhere; the URL of a PostgreSQL database "
      + "(postgres://USER:PASSWORD@HOST/NAME) keeps them for several coordinators at once.")
  private static let name = Option(
    "name", optional: .string, as: "NAME", whenMissing: "the machine's name and the port",
    "What this coordinator is called among those that share its database; one that is started under the same name takes "
      + "its place at once.")
  private static let memberLease = Option(
    "member-lease", .duration(.milliseconds(300) ... .seconds(3_600)), default: ClusterConfiguration().lease,
    "A coordinator that its database did not hear of for this long is taken for dead, and the others take over.")

  static let shared: [any DeclaredOption] = [name, memberLease]

  static func kind(
    _ invocation: Invocation, log: @escaping @Sendable (LogEntry) -> Void
  ) throws(UsageError) -> StoreKind {
    let text = invocation[store]
    guard text != "memory" else { return .memory }
    guard text.hasPrefix("postgres://") || text.hasPrefix("postgresql://") else { return .sqlite(path: text) }
    let port = invocation[CoordinatorCommand.port]
    let place = port == 0 ? "process \(getpid())" : "\(port)"
    let host = BuiltInLabels.read()["host"] ?? "localhost"
    let name = invocation[name] ?? "\(host):\(place)"
    guard !name.isEmpty, name.utf8.count <= maxNameBytes else {
      throw invocation.error("--name has \(name.utf8.count) bytes; 1 to \(maxNameBytes) are allowed")
    }
    var cluster = ClusterSettings(name: name, address: "\(invocation[CoordinatorCommand.host]):\(port)")
    cluster.core.lease = invocation[memberLease]
    return .shared(cluster) { loop throws(StoreError) in
      try PostgresStore.connect(text, on: loop) { log(LogEntry(.warning, $0)) }
    }
  }

  private static let maxNameBytes = 128
}
