import Primitives
import TestSupport
import Testing

@testable import Reactor

/// Both ends of one TLS connection on one loop; `body` runs once both have agreed.
///
/// - Parameter via: what to put between them: it is given the server's address and says which to dial.
func withSecurePair(
  _ server: TLSServerContext, _ client: TLSClientContext, serverName: String? = nil,
  server serverOptions: ConnectionOptions = ConnectionOptions(),
  client clientOptions: ConnectionOptions = ConnectionOptions(), limit: Duration = .seconds(60),
  via: (SocketAddress, EventLoop) throws -> SocketAddress = { address, _ in address },
  sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping (Pair) -> Void
) throws {
  try withLoop(limit: limit, sourceLocation: sourceLocation) { loop in
    let pair = Pair(loop)
    var options = ListenerOptions()
    options.connection = serverOptions
    let listener = try Listener.listen(at: .loopback(), on: loop, options: options, tls: server) { connection in
      connection.delegate = pair.serverSide
      pair.server = connection
    }
    let address = try via(listener.localAddress, loop)
    Connection.connect(to: address, on: loop, options: clientOptions, tls: client, as: serverName) { result in
      guard case .success(let connection) = result else {
        Issue.record("connect: \(result)", sourceLocation: sourceLocation)
        return loop.stop()
      }
      connection.delegate = pair.clientSide
      pair.client = connection
      loop.when({ pair.server?.tlsInfo != nil }, sourceLocation: sourceLocation) { body(pair) }
    }
  }
}

/// How a connection attempt ended, and what the server's side heard of it.
struct FailedHandshake {
  var client: SystemError?
  /// `nil` when the client came through.
  var connected = false
  var server: [SystemError?] = []
}

/// Connects once and waits until both sides know how it ended.
func handshake(
  _ server: TLSServerContext, _ client: TLSClientContext, serverName: String? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> FailedHandshake {
  var outcome = FailedHandshake()
  let serverSide = Recorder()
  let clientSide = Recorder()
  var accepted: Connection?
  try withLoop(sourceLocation: sourceLocation) { loop in
    let listener = try Listener.listen(at: .loopback(), on: loop, tls: server) { connection in
      connection.delegate = serverSide
      accepted = connection
    }
    // With TLS 1.3 a client is through before the server has judged its certificate.
    loop.when({ accepted?.tlsInfo != nil || !serverSide.closes.isEmpty }, sourceLocation: sourceLocation) {
      if accepted?.tlsInfo != nil { accepted?.send("welcome") }
    }
    Connection.connect(to: listener.localAddress, on: loop, tls: client, as: serverName) { result in
      switch result {
      case .success(let connection):
        connection.delegate = clientSide
        clientSide.onReceive = { connection in
          outcome.connected = true
          connection.close()
        }
      case .failure(let error): outcome.client = error
      }
    }
    loop.when(
      { !serverSide.closes.isEmpty && (outcome.client != nil || !clientSide.closes.isEmpty) },
      sourceLocation: sourceLocation
    ) { loop.stop() }
  }
  if let error = clientSide.closes.first { outcome.client = error }
  outcome.server = serverSide.closes
  return outcome
}

/// What an error says.
func text(of error: (some CustomStringConvertible)?) -> String { error.map { "\($0)" } ?? "no error" }
