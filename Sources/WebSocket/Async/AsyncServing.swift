import Glibc
import Synchronization
public import Reactor

/// The answer to an `UpgradeRequest` whose connection a task will serve.
public enum UpgradeAnswer: Sendable {
  /// Opens the connection. A subprotocol that the client did not offer is left out of the answer.
  case accept(subprotocol: String? = nil, headers: HTTPHeaders = [:])
  /// Answers with an HTTP status and ends the connection.
  case reject(Rejection)

  /// Rejects with a body of `{"error": message}`.
  public static func reject(status: Int, message: String, headers: HTTPHeaders = [:]) -> UpgradeAnswer {
    .reject(Rejection(status: status, headers: headers, message: message))
  }
}

extension WebSocketServer {
  /// Serves connections, each by a child task that runs `handler` on the connection's loop, until the calling task is
  /// cancelled; then shuts down gracefully and returns.
  ///
  /// Works on the loop that the calling task is on, or else on one that it starts; with `loops` above 1 it starts the
  /// others, each with a thread of its own, and the kernel spreads connections over them. A connection never changes its
  /// loop, nor does its task or that task's children unless they ask to.
  ///
  /// A connection is closed when its handler returns: with 1000, with 1001 when serving is being cancelled, with 1011
  /// when the handler threw. What handlers throw ends their connection only; `onFailure` hears of it, except of
  /// cancellation. Cancelling stops accepting, cancels the handlers, and waits until they have returned and every
  /// connection is gone, which a close handshake delays by at most twice `closeTimeout`.
  ///
  /// `onListening` comes once, when all loops listen, with the port that the system chose if port 0 was asked for.
  /// `accept` decides about each valid upgrade request, on any of the loops, and must not block; by default all are
  /// accepted, with the first of the configuration's subprotocols that the client offers.
  ///
  /// Throws `SystemError` when it cannot listen or a loop cannot be had, and `ECANCELED` when a loop is stopped under it.
  public nonisolated(nonsending) static func serve(
    at address: SocketAddress, loops: Int = 1, configuration: WebSocketConfiguration = .init(),
    options: ListenerOptions = .init(), tls: TLSServerContext? = nil, receiveQueue: ReceiveQueueLimits = .init(),
    accept: @escaping @Sendable (UpgradeRequest) -> UpgradeAnswer = { .accept(subprotocol: $0.subprotocol) },
    onListening: @escaping @Sendable (SocketAddress) -> Void = { _ in },
    onFailure: @escaping @Sendable (AsyncWebSocket, any Error) -> Void = { _, _ in },
    handler: @escaping @Sendable (AsyncWebSocket, UpgradeRequest) async throws -> Void
  ) async throws {
    precondition(loops > 0, "a server needs at least one loop")
    var listening = options
    listening.reusePort = options.reusePort || loops > 1
    let service = Service(
      configuration: configuration, options: listening, tls: tls, receiveQueue: receiveQueue, accept: accept,
      handler: handler,
      onFailure: onFailure)
    try await withCurrentEventLoop(orNew: "websocket 1") { loop in
      let first = try service.listen(at: address, on: loop)
      let bound = first.address
      if loops == 1 {
        onListening(bound)
        return try await first.serve()
      }
      let waiting = Countdown(loops - 1) { onListening(bound) }
      let shared = LoopBound(first, to: loop)
      try await withThrowingTaskGroup(of: Void.self) { group in
        // A child inherits the preference for this loop.
        group.addTask { try await shared.value.serve() }
        for number in 2...loops {
          group.addTask {
            try await withEventLoop(name: "websocket \(number)") { loop in
              let server = try service.listen(at: bound, on: loop)
              waiting.step()
              try await server.serve()
            }
          }
        }
        // One that fails ends them all.
        try await group.waitForAll()
      }
    }
  }
}

/// Calls a body after so many steps, which may come from any thread.
private final class Countdown: Sendable {
  private let left: Atomic<Int>
  private let body: @Sendable () -> Void

  init(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    left = Atomic(count)
    self.body = body
  }

  func step() {
    if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { body() }
  }
}

/// What all loops of one server have in common.
private struct Service: Sendable {
  let configuration: WebSocketConfiguration
  let options: ListenerOptions
  let tls: TLSServerContext?
  let receiveQueue: ReceiveQueueLimits
  let accept: @Sendable (UpgradeRequest) -> UpgradeAnswer
  let handler: @Sendable (AsyncWebSocket, UpgradeRequest) async throws -> Void
  let onFailure: @Sendable (AsyncWebSocket, any Error) -> Void

  func listen(at address: SocketAddress, on loop: EventLoop) throws -> LoopServer {
    let arrivals = Arrivals()
    let server = try WebSocketServer.listen(
      at: address, on: loop, configuration: configuration, options: options, tls: tls
    ) { [self] request in
      switch accept(request) {
      case .accept(let subprotocol, let headers):
        .accept(
          subprotocol: subprotocol, headers: headers,
          delegate: AsyncWebSocketLink(configuration, receiveQueue) { socket in
            arrivals.put(Arrival(socket: socket, request: request))
          })
      case .reject(let rejection): .reject(rejection)
      }
    }
    return LoopServer(service: self, loop: loop, server: server, arrivals: arrivals)
  }

  func serve(_ arrival: Arrival) async {
    let socket = arrival.socket
    do {
      try await socket.inScope { socket in try await handler(socket, arrival.request) }
      await socket.leave(Task.isCancelled ? .goingAway : .normal)
    } catch is CancellationError {
      await socket.leave(.goingAway)
    } catch {
      await socket.leave(.internalError)
      onFailure(socket, error)
    }
  }
}

/// One loop's part of a server. All of it is for the loop's thread.
private struct LoopServer {
  let service: Service
  let loop: EventLoop
  let server: WebSocketServer
  let arrivals: Arrivals

  var address: SocketAddress { server.localAddress }

  nonisolated(nonsending) func serve() async throws {
    let (service, arrivals, mailbox) = (service, arrivals, loop.mailbox)
    let watch = EndWatch(on: loop) { arrivals.loopDidEnd() }
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        while let arrival = await arrivals.next() {
          group.addTask { await service.serve(arrival) }
        }
        if !arrivals.loopHasEnded { server.stopAccepting() }
        group.cancelAll()
      }
    } onCancel: {
      mailbox.post { arrivals.finish() }
    }
    guard !arrivals.loopHasEnded else {
      throw SystemError(call: "serve", subject: "\(address)", code: ECANCELED, detail: "the loop was stopped meanwhile")
    }
    watch.cancel()
    // What never came out of its handshake, or was opened too late for a task.
    guard server.connectionCount > 0 else { return }
    // SAFETY: the completion comes once, also when the loop ends.
    await unsafe withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      server.close { unsafe continuation.resume() }
    }
  }
}

private struct Arrival: Sendable {
  let socket: AsyncWebSocket
  let request: UpgradeRequest
}

/// Opened connections on their way to tasks of their own. Touched on the loop's thread only; others merely hold it.
@safe
private final class Arrivals: @unchecked Sendable {
  private var waiting = FIFO<Arrival>()
  private var continuation: UnsafeContinuation<Arrival?, Never>?
  private var isFinished = false
  private(set) var loopHasEnded = false

  func put(_ arrival: Arrival) {
    if let continuation = unsafe continuation.take() {
      unsafe continuation.resume(returning: arrival)
    } else {
      waiting.append(arrival)
    }
  }

  /// The next one, or `nil` once finished.
  nonisolated(nonsending) func next() async -> Arrival? {
    if isFinished { return nil }
    if let arrival = waiting.popFirst() { return arrival }
    // SAFETY: resumed once by whoever takes it: put or finish.
    return await unsafe withUnsafeContinuation { unsafe continuation = unsafe $0 }
  }

  func finish() {
    isFinished = true
    waiting.removeAll()
    if let continuation = unsafe continuation.take() { unsafe continuation.resume(returning: nil) }
  }

  func loopDidEnd() {
    loopHasEnded = true
    finish()
  }
}
