public import Reactor

/// Listens for WebSocket connections on one loop.
///
/// It serves until `stopAccepting` or `close`, or until its loop ends, whether or not this object is kept.
public final class WebSocketServer {
  /// Where it listens, with the port the system chose if port 0 was asked for.
  public var localAddress: SocketAddress { listener.localAddress }

  /// Connections that are there, those in the handshake included.
  public var connectionCount: Int { lobby.sockets.count }

  /// Those of them that come from `address`, whatever its port: from its network of 64 bits if it is an IPv6 one.
  public func connectionCount(from address: SocketAddress) -> Int { lobby.census.count(from: address) }

  /// Connections that were cut because of `ConnectionLimits`.
  public var cutConnections: Int { lobby.cutConnections }

  /// Hears of connections that ended before they were open, rejected ones included; for logs and counters.
  public var onHandshakeFailure: ((SocketAddress, CloseReason) -> Void)? {
    get { lobby.onHandshakeFailure }
    set { lobby.onHandshakeFailure = newValue }
  }

  private let loop: EventLoop
  private let listener: Listener
  private let lobby: Lobby

  private init(_ loop: EventLoop, _ listener: Listener, _ lobby: Lobby) {
    self.loop = loop
    self.listener = listener
    self.lobby = lobby
  }

  /// Starts to listen; call on the loop.
  ///
  /// `accept` decides about each valid upgrade request, and `resources` answers ordinary GET and HEAD requests, which
  /// are refused without it; neither may block. The connection options of `options` are replaced by the configuration's
  /// limits. With `tls` the deadline of the handshake covers that of TLS too. Fails as `Listener.listen` does.
  public static func listen(
    at address: SocketAddress, on loop: EventLoop, configuration: WebSocketConfiguration = .init(),
    options: ListenerOptions = .init(), tls: TLSServerContext? = nil, limits: ConnectionLimits = .init(),
    resources: ((HTTPExchange) -> Void)? = nil, accept: @escaping (UpgradeRequest) -> UpgradeDecision
  ) throws(SystemError) -> WebSocketServer {
    let lobby = Lobby(limits: limits, decide: accept, serve: resources)
    let context = ConnectionContext(
      configuration, compressionPool: loop.compressionPool, servesResources: resources != nil)
    var options = options
    options.connection = configuration.transportOptions
    let listener = try Listener.listen(at: address, on: loop, options: options, tls: tls) { transport in
      // Unclaimed, it is cut.
      guard lobby.hasRoom(for: transport.remoteAddress) else { return }
      lobby.add(WebSocketConnection.accepted(transport, context, lobby: lobby))
    }
    return WebSocketServer(loop, listener, lobby)
  }

  /// Takes no more connections; those that are there stay. Call on the loop.
  public func stopAccepting() { listener.close() }

  /// Takes no more connections and closes those that are there; call on the loop.
  ///
  /// `completion` comes once, when all are gone: within twice `closeTimeout`, and never from within this call.
  public func close(code: CloseCode = .goingAway, reason: String = "", _ completion: @escaping () -> Void = {}) {
    listener.close()
    guard !lobby.sockets.isEmpty else { return loop.afterTurn(completion) }
    lobby.onEmpty.append(completion)
    for socket in lobby.sockets { socket.close(code: code, reason: reason) }
  }
}

/// A server's connections, apart from it so that the listener holds them and not itself.
final class Lobby {
  /// The application's judgement of an upgrade.
  let decide: (UpgradeRequest) -> UpgradeDecision
  /// The application's way to answer ordinary requests.
  let serve: ((HTTPExchange) -> Void)?
  private(set) var sockets: ContiguousArray<WebSocketConnection> = []
  private(set) var census = ConnectionCensus()
  private(set) var cutConnections = 0
  private let limits: ConnectionLimits
  var onHandshakeFailure: ((SocketAddress, CloseReason) -> Void)?
  var onEmpty: [() -> Void] = []

  init(
    limits: ConnectionLimits, decide: @escaping (UpgradeRequest) -> UpgradeDecision,
    serve: ((HTTPExchange) -> Void)?
  ) {
    self.limits = limits
    self.decide = decide
    self.serve = serve
  }

  func hasRoom(for address: SocketAddress) -> Bool {
    let hasRoom = census.hasRoom(for: address, limits)
    if !hasRoom { cutConnections += 1 }
    return hasRoom
  }

  func add(_ socket: WebSocketConnection) {
    census.add(socket.remoteAddress)
    socket.lobbyIndex = Int32(truncatingIfNeeded: sockets.count)
    sockets.append(socket)
  }

  /// The last one takes its place, so that nothing is searched or moved.
  func remove(_ socket: WebSocketConnection, _ reason: CloseReason) {
    census.remove(socket.remoteAddress)
    // What was never open and ended properly is an ordinary request that was answered.
    if !socket.wasOpened, !reason.wasClean { onHandshakeFailure?(socket.remoteAddress, reason) }
    guard let last = sockets.popLast() else { return }
    if last !== socket {
      sockets[Int(socket.lobbyIndex)] = last
      last.lobbyIndex = socket.lobbyIndex
    }
    guard sockets.isEmpty else { return }
    let completions = onEmpty
    onEmpty = []
    for completion in completions { completion() }
  }
}

extension EventLoop {
  /// The contexts of permessage-deflate that all WebSocket connections of the loop borrow.
  var compressionPool: CompressionPool { attachment { CompressionPool() } }

  /// What permessage-deflate saved on this loop, over all its WebSocket connections, servers' and clients'. Call on the
  /// loop.
  public var webSocketCompression: CompressionStatistics { compressionPool.statistics }
}

@available(*, unavailable) extension WebSocketServer: Sendable {}
