import Glibc
import Primitives
public import Reactor

/// Opens WebSocket connections.
public enum WebSocketClient {
  /// Connects, sends the request and waits for the answer; call on the loop.
  ///
  /// `completion` comes once, never from within this call, unless the attempt is cancelled. On success the delegate
  /// heard `webSocketDidOpen` just before; on failure it hears nothing. The TCP connection and the handshake may each
  /// take up to `handshakeTimeout`. `address` is dialled instead of the URL's host, if given. A `wss` URL's server must prove
  /// to be the URL's host to `tls`, or to a context that believes the system's authorities.
  @discardableResult
  public static func connect(
    to url: WebSocketURL, at address: SocketAddress? = nil, on loop: EventLoop,
    configuration: WebSocketConfiguration = .init(), tls: TLSClientContext? = nil, headers: HTTPHeaders = [:],
    delegate: any WebSocketDelegate,
    completion: @escaping (Result<WebSocketConnection, WebSocketError>) -> Void = { _ in }
  ) -> WebSocketConnectAttempt {
    let attempt = WebSocketConnectAttempt(completion)
    var entropy = Entropy()
    let request: ClientHandshake
    do throws(HandshakeError) {
      request = try ClientHandshake(
        target: url.target, host: url.hostField, headers: headers, subprotocols: configuration.subprotocols,
        using: &entropy)
    } catch {
      loop.afterTurn { attempt.finish(.failure(.connection(.handshake(error)))) }
      return attempt
    }
    let secure: TLSClientContext?
    do throws(TLSConfigurationError) {
      if url.isSecure, tls == nil { secure = try loop.usualTLS() } else { secure = url.isSecure ? tls : nil }
    } catch {
      let problem = SystemError(call: "TLS", subject: "\(url)", code: EINVAL, detail: "\(error)")
      loop.afterTurn { attempt.finish(.failure(.transport(problem))) }
      return attempt
    }
    let connected = { (result: Result<Connection, SystemError>) in
      switch result {
      case .success(let transport):
        attempt.handshake(
          WebSocketConnection.connected(
            transport, request: request,
            ConnectionContext(configuration, compressionPool: transport.loop.compressionPool), delegate: delegate,
            completion: attempt.finish))
      case .failure(let error): attempt.finish(.failure(.transport(error)))
      }
    }
    let timeout = configuration.handshakeTimeout
    let options = configuration.transportOptions
    if let address {
      attempt.dial(
        Connection.connect(
          to: address, on: loop, timeout: timeout, options: options, tls: secure, as: url.host, connected))
    } else {
      attempt.dial(
        Connection.connect(
          host: url.host, port: url.port, on: loop, timeout: timeout, options: options, tls: secure, connected))
    }
    return attempt
  }
}

extension EventLoop {
  private final class UsualTLS {
    var context: TLSClientContext?
  }

  /// The context of connections that were given none: it believes the system's authorities.
  fileprivate func usualTLS() throws(TLSConfigurationError) -> TLSClientContext {
    let holder = attachment { UsualTLS() }
    if let context = holder.context { return context }
    let context = try TLSClientContext()
    holder.context = context
    return context
  }
}

/// A connection in the making; need not be kept.
public final class WebSocketConnectAttempt {
  private enum Stage {
    case starting
    case dialling(ConnectAttempt)
    case handshake(WebSocketConnection)
    case decided
  }

  private var stage = Stage.starting
  private var completion: ((Result<WebSocketConnection, WebSocketError>) -> Void)?

  init(_ completion: @escaping (Result<WebSocketConnection, WebSocketError>) -> Void) {
    self.completion = completion
  }

  /// Gives up: nothing more is heard. Harmless once decided. Call on the loop.
  public func cancel() {
    completion = nil
    switch stage {
    case .starting, .decided: break
    case .dialling(let attempt): attempt.cancel()
    case .handshake(let socket): socket.abort()
    }
    stage = .decided
  }

  func dial(_ attempt: ConnectAttempt) { stage = .dialling(attempt) }

  func handshake(_ socket: WebSocketConnection) { stage = .handshake(socket) }

  func finish(_ result: Result<WebSocketConnection, WebSocketError>) {
    stage = .decided
    let completion = completion.take()
    completion?(result)
  }
}

@available(*, unavailable) extension WebSocketConnectAttempt: Sendable {}
