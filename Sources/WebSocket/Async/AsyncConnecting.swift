import Glibc
public import Reactor

extension WebSocketClient {
  /// Connects, runs `body` with the connection, closes it, and returns what the body returned.
  ///
  /// Works on the loop that the calling task is on, or else on one that it starts for this connection; the body and its
  /// child tasks run there. Afterwards the connection is closed with 1000, with 1001 if the task was cancelled, with 1011
  /// if the body threw, and gone when this returns; the close handshake takes at most twice `closeTimeout`.
  ///
  /// Throws `WebSocketError` when there is no connection to be had, `CancellationError` when cancelled meanwhile, and
  /// what the body throws.
  public nonisolated(nonsending) static func withConnection<Value: Sendable>(
    to url: WebSocketURL, at address: SocketAddress? = nil, configuration: WebSocketConfiguration = .init(),
    tls: TLSClientContext? = nil, headers: HTTPHeaders = [:], receiveQueue: ReceiveQueueLimits = .init(),
    _ body: @Sendable (AsyncWebSocket) async throws -> Value
  ) async throws -> Value {
    try await withCurrentEventLoop(orNew: "websocket") { loop in
      let socket = try await open(url, address, loop, configuration, tls, headers, receiveQueue)
      do {
        let value = try await socket.inScope(body)
        await socket.leave(Task.isCancelled ? .goingAway : .normal)
        return value
      } catch {
        await socket.leave(error is CancellationError || Task.isCancelled ? .goingAway : .internalError)
        throw error
      }
    }
  }

  private nonisolated(nonsending) static func open(
    _ url: WebSocketURL, _ address: SocketAddress?, _ loop: EventLoop, _ configuration: WebSocketConfiguration,
    _ tls: TLSClientContext?, _ headers: HTTPHeaders, _ limits: ReceiveQueueLimits
  ) async throws -> AsyncWebSocket {
    try Task.checkCancellation()
    let link = AsyncWebSocketLink(configuration, limits)
    let opening = Opening()
    let mailbox = loop.mailbox
    try await withTaskCancellationHandler {
      // SAFETY: the attempt's completion comes once, unless the cancellation came first; each takes it before resuming.
      try await unsafe withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
        unsafe opening.continuation = continuation
        opening.attempt = connect(
          to: url, at: address, on: loop, configuration: configuration, tls: tls, headers: headers, delegate: link
        ) { opening.finish($0.map { _ in }.mapError { $0 }) }
      }
    } onCancel: {
      mailbox.post { opening.cancel() }
    }
    guard let socket = link.socket else {
      // Opened and closed in the same turn.
      throw WebSocketError.connection(.abandoned)
    }
    return socket
  }
}

/// A task that waits for its connection. Touched on the loop's thread only; other threads merely hold it.
@safe
private final class Opening: @unchecked Sendable {
  var continuation: UnsafeContinuation<Void, any Error>?
  var attempt: WebSocketConnectAttempt?

  func finish(_ result: Result<Void, any Error>) {
    attempt = nil
    guard let continuation = unsafe continuation.take() else { return }
    unsafe continuation.resume(with: result)
  }

  func cancel() {
    attempt?.cancel()
    finish(.failure(CancellationError()))
  }
}
