import Authentication
import CoordinationCore
import Reactor

/// What a worker's and a client's connection have in common.
protocol PeerSocket: SlowReader {
  /// Grows with each that comes in.
  var number: UInt64 { get }
  /// With which key it came; `nil` while nobody needs one.
  var identity: Identity? { get }
  func close(_ code: UInt16, _ reason: String)
  /// Reads nothing from it until told otherwise.
  func holdBack(_ held: Bool)
}

/// Everybody who is connected to a coordinator. What is done to all is done to the workers first, and to each kind in the
/// order in which they came.
final class Connections {
  private var workers: [ConnectionID: WorkerSocket] = [:]
  private var clients: [UInt64: ClientSocket] = [:]
  private var last: UInt64 = 0
  private let slowReaders: SlowReaderWatch

  init(_ limits: SlowReaders<UInt64>.Limits, on loop: EventLoop, log: @escaping (LogEntry) -> Void) {
    slowReaders = SlowReaderWatch(limits, on: loop, log: log)
  }

  /// The number of whoever comes next.
  func nextNumber() -> UInt64 {
    last += 1
    return last
  }

  func add(_ socket: WorkerSocket) { workers[socket.id] = socket }
  func add(_ socket: ClientSocket) { clients[socket.number] = socket }

  subscript(id: ConnectionID) -> WorkerSocket? { workers[id] }

  /// It is over.
  /// - Returns: whether it was still known.
  func remove(_ socket: WorkerSocket) -> Bool {
    slowReaders.set(socket.number, nil)
    return workers.removeValue(forKey: socket.id) != nil
  }

  func remove(_ socket: ClientSocket) {
    slowReaders.set(socket.number, nil)
    clients[socket.number] = nil
  }

  /// No worker that is connected now is anybody's any more; that its connection ends need not be told.
  func forgetWorkers() { workers = [:] }

  /// More waits for a peer than its connection's high watermark, or it has caught up again.
  func congested(_ socket: any PeerSocket, _ isCongested: Bool) {
    slowReaders.set(socket.number, isCongested ? socket : nil)
  }

  /// Nobody is found slow any more.
  func stopWatchingReaders() { slowReaders.stop() }

  var slowReadersDropped: Int { slowReaders.dropped }

  var inOrder: [any PeerSocket] {
    let workers: [any PeerSocket] = workers.values.sorted { $0.number < $1.number }
    let clients: [any PeerSocket] = clients.values.sorted { $0.number < $1.number }
    return workers + clients
  }

  func close(_ code: UInt16, _ reason: String, where isMeant: (Identity?) -> Bool = { _ in true }) {
    for socket in inOrder where isMeant(socket.identity) { socket.close(code, reason) }
  }

  /// Closes those clients that are told what happens.
  func closeWatchers(_ code: UInt16, _ reason: String) {
    for client in clients.values.sorted(by: { $0.number < $1.number }) where client.isWatching {
      client.close(code, reason)
    }
  }

  func holdBack(_ held: Bool) {
    for socket in inOrder { socket.holdBack(held) }
  }

  /// How many there are of each kind.
  var counts: [ConnectionKind: Int] {
    var counts: [ConnectionKind: Int] = [.client: clients.count]
    for socket in workers.values { counts[socket.mode == .session ? .session : .legacy, default: 0] += 1 }
    return counts
  }
}

@available(*, unavailable) extension Connections: Sendable {}
