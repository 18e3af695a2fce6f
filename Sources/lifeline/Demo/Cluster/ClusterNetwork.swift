import Reactor
import Trials

/// The machines of the demonstration and the lines between them.
///
///     workers, client ══ front ══ coordinators ══ data ══ database
protocol ClusterNetwork: AnyObject {
  /// What it is made of, for people.
  var summary: String { get }
  /// Where the database listens besides its socket.
  var databaseNetwork: DatabaseServer.Network? { get }
  /// Makes it; `ready` is called once, with what is wrong if it cannot be made.
  func build(_ ready: @escaping (String?) -> Void)
  /// What the command line of a machine's process is put behind.
  func prefix(of machine: String) -> [String]
  /// Options that say where a coordinator listens: always there, once it is known.
  func listening(_ coordinator: String) -> [String]
  /// Where a coordinator finds the database.
  func store(for coordinator: String, _ server: DatabaseServer) throws -> String
  /// A coordinator has said that it listens at this port.
  func opened(_ coordinator: String, port: UInt16) throws
  /// Where everybody finds it.
  func url(of coordinator: String) -> String
  /// Cuts a coordinator off, or joins it again: nothing passes, and nobody is told.
  func setCut(_ isCut: Bool, _ coordinator: String, from line: ClusterLine)
  func close()
}

enum ClusterLine: String {
  /// On which workers and clients are.
  case front
  /// On which the database is.
  case data
}

/// Who is in the demonstration.
enum ClusterMachines {
  static let database = "database"
  static let coordinators = (1...3).map { "coordinator-\($0)" }
  static let workers = (1...6).map { "worker-\($0)" }
}
