public import Reactor

/// A WebSocket connection for tasks: messages are awaited, and so is the room to send them.
///
///     for try await message in socket {
///       try await socket.send(message)
///     }
///
/// It is a face of one `WebSocketConnection` and lives on that connection's loop. Its asynchronous methods may be called
/// from any task: on the loop, where `WebSocketServer.serve` and `WebSocketClient.withConnection` run theirs, without a
/// change of thread; from elsewhere by way of the loop. Everything else is for the loop's thread, and traps on another.
///
/// The sequence has the messages in the order in which they came, each to one receiver. It ends when the close
/// handshake was completed, and throws `WebSocketError` when the connection failed, or `CancellationError` when the task
/// is cancelled. A task that does not receive holds the peer back, see `ReceiveQueueLimits`; while it does so the end of
/// the connection goes unnoticed.
@safe
public final class AsyncWebSocket: @unchecked Sendable {
  // Sound because everything mutable is touched on the loop's thread only, or, by tasks that outlived their loop, one at
  // a time on the pool; and because nothing of the loop is referred to once the connection is closed.

  /// Runs tasks on the connection's loop.
  public let executor: LoopTaskExecutor
  /// Unique in the process.
  public let id: UInt64
  public let remoteAddress: SocketAddress
  public let localAddress: SocketAddress
  /// What both ends agreed on; `nil` without agreement.
  public let subprotocol: String?
  /// The fields of the server's answer, for a client; a server finds the request's in `UpgradeRequest`.
  public let responseHeaders: HTTPHeaders

  @unsafe private struct Receiver {
    let id: UInt64
    let isScopesTask: Bool
    let continuation: UnsafeContinuation<WebSocketMessage?, any Error>
  }

  @unsafe private struct Sender {
    let id: UInt64
    let continuation: UnsafeContinuation<Void, any Error>
  }

  private var open: WebSocketConnection?
  private var reason: CloseReason?
  private var isClosing = false
  private let limits: ReceiveQueueLimits
  private let highWatermarkBytes: Int
  private var messages = FIFO<WebSocketMessage>()
  private var queuedBytes = 0
  private var isReadingPaused = false
  private var receiver: Receiver?
  private var senders: [Sender] = unsafe []
  private var closers: [UnsafeContinuation<Void, Never>] = unsafe []
  private var lastWaiter: UInt64 = 0
  /// The task in whose scope the connection is, while it is. Compared only.
  private var scopesTask: UnsafeCurrentTask?

  init(_ connection: WebSocketConnection, highWatermarkBytes: Int, limits: ReceiveQueueLimits) {
    executor = connection.loop.taskExecutor
    id = connection.id
    remoteAddress = connection.remoteAddress
    localAddress = connection.localAddress
    subprotocol = connection.subprotocol
    responseHeaders = connection.responseHeaders
    open = connection
    self.highWatermarkBytes = highWatermarkBytes
    self.limits = limits
  }

  /// The connection underneath, for what this face leaves out: pings, sending without waiting. On the loop only; `nil`
  /// once it is closed. Its delegate and its reading are this object's.
  public var connection: WebSocketConnection? {
    preconditionOnLoop()
    return open
  }

  /// How the connection ended; `nil` until it has. On the loop only.
  public var closeReason: CloseReason? {
    preconditionOnLoop()
    return reason
  }

  /// Messages that wait for a receiver. On the loop only.
  public var queuedMessages: Int {
    preconditionOnLoop()
    return messages.count
  }

  private func preconditionOnLoop() {
    precondition(
      executor.isOnLoop,
      "this part of an AsyncWebSocket is for its loop's thread; use withTaskExecutorPreference(socket.executor)")
  }

  // MARK: Sending

  /// Sends a message as soon as at most `highWatermarkBytes` wait to be written; it leaves at the end of the turn.
  ///
  /// Returns once the message is queued. Throws without having queued it: `CancellationError`, or `WebSocketError` of the
  /// connection's failure, or `.closed`. A message of which more than `maxPendingBytes` cannot be written at once fails the
  /// connection. When a close is under way the error comes at its end, within twice `closeTimeout`.
  public nonisolated(nonsending) func send(_ message: WebSocketMessage) async throws {
    if try sendNow(message) { return }
    guard executor.isOnLoop else {
      return try await withTaskExecutorPreference(executor) { try await sendOnLoop(message) }
    }
    try await sendOnLoop(message)
  }

  /// Sends a text message; see `send(_:)`.
  public nonisolated(nonsending) func send(text: String) async throws { try await send(.text(text)) }

  /// Sends a binary message; see `send(_:)`.
  public nonisolated(nonsending) func send(binary: [UInt8]) async throws { try await send(.binary(binary)) }

  /// Sends a message that was prepared for many connections; see `send(_:)`.
  public nonisolated(nonsending) func send(_ message: PreparedMessage) async throws {
    if try sendNow(message) { return }
    guard executor.isOnLoop else {
      return try await withTaskExecutorPreference(executor) { try await sendOnLoop(message) }
    }
    try await sendOnLoop(message)
  }

  /// The usual case, without the cost of an asynchronous call; false leaves the message to `sendOnLoop`.
  private func sendNow(_ message: some OutgoingMessage) throws -> Bool {
    guard executor.isOnLoop, let open, open.isOpen, open.pendingBytes <= highWatermarkBytes else { return false }
    try Task.checkCancellation()
    message.send(on: open)
    // A send may be what ends the connection; `sendOnLoop` finds it ended, sends nothing and throws.
    return open.isOpen
  }

  private nonisolated(nonsending) func sendOnLoop(_ message: some OutgoingMessage) async throws {
    while try !sendNow(message) {
      try Task.checkCancellation()
      guard let open, open.isOpen else { throw await sendingError() }
      try await roomToSend()
    }
  }

  private nonisolated(nonsending) func roomToSend() async throws {
    let id = nextWaiter()
    try await withTaskCancellationHandler {
      // SAFETY: resumed once by whoever takes it out of the list: the drain, the close or the cancellation.
      try await unsafe withUnsafeThrowingContinuation { continuation in
        unsafe senders.append(Sender(id: id, continuation: continuation))
      }
    } onCancel: {
      executor.mailbox.post { [self] in cancelSender(id) }
    }
  }

  private func cancelSender(_ id: UInt64) {
    guard let index = unsafe senders.firstIndex(where: { unsafe $0.id == id }) else { return }
    unsafe senders.remove(at: index).continuation.resume(throwing: CancellationError())
  }

  /// Why nothing can be sent any more; known when the connection is closed, which has deadlines.
  private nonisolated(nonsending) func sendingError() async -> WebSocketError {
    let reason = await end()
    return reason.error ?? .closed(reason.code, reason: reason.text)
  }

  // MARK: Closing

  /// Closes with a close handshake and returns once the connection is gone: within twice `closeTimeout`, also in a
  /// cancelled task.
  ///
  /// What was sent before still arrives; what was received before can still be awaited; what comes later is dropped. The
  /// reason is cut to 123 bytes. A code that may not be sent (1005, 1006, …) sends none.
  @discardableResult
  public nonisolated(nonsending) func close(code: CloseCode = .normal, reason: String = "") async -> CloseReason {
    guard executor.isOnLoop else {
      return await withTaskExecutorPreference(executor) { await closeOnLoop(code, reason) }
    }
    return await closeOnLoop(code, reason)
  }

  private nonisolated(nonsending) func closeOnLoop(_ code: CloseCode, _ text: String) async -> CloseReason {
    if let open, !isClosing {
      isClosing = true
      open.close(code: code, reason: text)
      // The peer's Close frame must be read, whoever is behind with its messages.
      open.resumeReading()
    }
    return await end()
  }

  private nonisolated(nonsending) func end() async -> CloseReason {
    while true {
      if let reason { return reason }
      // SAFETY: every connection is told of its close once, and didClose resumes it then.
      await unsafe withUnsafeContinuation { unsafe closers.append($0) }
    }
  }

  // MARK: Scope

  /// Runs `body` with the connection, and watches for the cancellation of its task once for all of that task's receives:
  /// watching during each of them would cost more than the rest of a receive.
  nonisolated(nonsending) func inScope<Value>(_ body: (AsyncWebSocket) async throws -> Value) async throws -> Value {
    // SAFETY: forgotten before the task ends, and only compared until then.
    unsafe withUnsafeCurrentTask { unsafe scopesTask = unsafe $0 }
    defer { unsafe scopesTask = nil }
    return try await withTaskCancellationHandler {
      try await body(self)
    } onCancel: {
      executor.mailbox.post { [self] in
        if let waiting = unsafe receiver, unsafe waiting.isScopesTask { unsafe cancelReceiver(waiting.id) }
      }
    }
  }

  private var isScopesTask: Bool { unsafe withUnsafeCurrentTask { unsafe $0 == scopesTask } }

  /// The scope of the connection ends: nobody will ask for what is still queued.
  nonisolated(nonsending) func leave(_ code: CloseCode) async {
    messages.removeAll()
    queuedBytes = 0
    await close(code: code)
  }

  // MARK: Receiving

  /// What waits already, without the cost of an asynchronous call.
  fileprivate func receiveNow() throws -> WebSocketMessage? {
    guard executor.isOnLoop, !messages.isEmpty else { return nil }
    return try takeMessage()
  }

  /// Whether the calling task has only to wait: nothing is there, and its cancellation is watched for already.
  fileprivate func mayWaitInScope() throws -> Bool {
    guard executor.isOnLoop, messages.isEmpty, reason == nil, isScopesTask else { return false }
    try Task.checkCancellation()
    return true
  }

  fileprivate func waitInScope(_ continuation: UnsafeContinuation<WebSocketMessage?, any Error>) {
    unsafe wait(nextWaiter(), isScopesTask: true, continuation)
  }

  /// The case of all tasks and threads.
  fileprivate nonisolated(nonsending) func receive() async throws -> WebSocketMessage? {
    guard executor.isOnLoop else {
      return try await withTaskExecutorPreference(executor) { try await receiveOnLoop() }
    }
    return try await receiveOnLoop()
  }

  private nonisolated(nonsending) func receiveOnLoop() async throws -> WebSocketMessage? {
    if let message = try takeMessage() { return message }
    if let reason {
      if let error = reason.error { throw error }
      return nil
    }
    let id = nextWaiter()
    return try await withTaskCancellationHandler {
      // SAFETY: resumed once by whoever takes it: a message, the close or the cancellation.
      try await unsafe withUnsafeThrowingContinuation { unsafe wait(id, isScopesTask: false, $0) }
    } onCancel: {
      executor.mailbox.post { [self] in cancelReceiver(id) }
    }
  }

  private func takeMessage() throws -> WebSocketMessage? {
    try Task.checkCancellation()
    guard let message = messages.popFirst() else { return nil }
    queuedBytes -= message.bytes.count
    if isReadingPaused { resumeReadingIfDrained() }
    return message
  }

  private func wait(
    _ id: UInt64, isScopesTask: Bool, _ continuation: UnsafeContinuation<WebSocketMessage?, any Error>
  ) {
    precondition(unsafe receiver == nil, "two tasks receive from one WebSocket; let one receive for both")
    unsafe receiver = unsafe Receiver(id: id, isScopesTask: isScopesTask, continuation: continuation)
  }

  private func cancelReceiver(_ id: UInt64) {
    guard let waiting = unsafe receiver, unsafe waiting.id == id else { return }
    unsafe receiver = nil
    unsafe waiting.continuation.resume(throwing: CancellationError())
  }

  private func nextWaiter() -> UInt64 {
    lastWaiter &+= 1
    return lastWaiter
  }

  private func resumeReadingIfDrained() {
    guard messages.count <= limits.maxMessages / 2, queuedBytes <= limits.maxBytes / 2 else { return }
    isReadingPaused = false
    open?.resumeReading()
  }

  // MARK: What the connection tells

  func didReceive(_ message: RawSpan, _ kind: MessageKind) {
    guard !isClosing else { return }
    if let waiting = unsafe receiver.take() {
      return unsafe waiting.continuation.resume(returning: WebSocketMessage(copying: message, kind))
    }
    messages.append(WebSocketMessage(copying: message, kind))
    queuedBytes += message.byteCount
    if !isReadingPaused, messages.count >= limits.maxMessages || queuedBytes >= limits.maxBytes {
      isReadingPaused = true
      open?.pauseReading()
    }
  }

  func didDrain() {
    let waiting = unsafe senders
    unsafe senders = unsafe []
    unsafe waiting.forEach { unsafe $0.continuation.resume() }
  }

  func didClose(_ reason: CloseReason) {
    self.reason = reason
    open = nil
    if let waiting = unsafe receiver.take() {
      if let error = reason.error {
        unsafe waiting.continuation.resume(throwing: error)
      } else {
        unsafe waiting.continuation.resume(returning: nil)
      }
    }
    didDrain()
    let waiting = unsafe closers
    unsafe closers = unsafe []
    unsafe waiting.forEach { unsafe $0.resume() }
  }
}

extension AsyncWebSocket: AsyncSequence {
  public typealias Element = WebSocketMessage
  public typealias Failure = any Error

  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let socket: AsyncWebSocket

    public nonisolated(nonsending) mutating func next() async throws -> WebSocketMessage? {
      if let message = try socket.receiveNow() { return message }
      guard try socket.mayWaitInScope() else { return try await socket.receive() }
      // SAFETY: resumed once by whoever takes it: a message, the close or the cancellation of the scope.
      return try await unsafe withUnsafeThrowingContinuation { unsafe socket.waitInScope($0) }
    }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws -> WebSocketMessage? {
      if let message = try socket.receiveNow() { return message }
      guard try socket.mayWaitInScope() else { return try await socket.receive() }
      // SAFETY: as above.
      return try await unsafe withUnsafeThrowingContinuation { unsafe socket.waitInScope($0) }
    }
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(socket: self) }
}

/// The connection's delegate, so that its callbacks are no part of the public class. Held by the connection until it is
/// closed.
final class AsyncWebSocketLink: WebSocketDelegate {
  private let configuration: WebSocketConfiguration
  private let limits: ReceiveQueueLimits
  private let onOpen: (AsyncWebSocket) -> Void
  private(set) var socket: AsyncWebSocket?

  init(
    _ configuration: WebSocketConfiguration, _ limits: ReceiveQueueLimits,
    onOpen: @escaping (AsyncWebSocket) -> Void = { _ in }
  ) {
    self.configuration = configuration
    self.limits = limits
    self.onOpen = onOpen
  }

  func webSocketDidOpen(_ connection: WebSocketConnection) {
    let socket = AsyncWebSocket(
      connection, highWatermarkBytes: configuration.highWatermarkBytes, limits: limits)
    self.socket = socket
    onOpen(socket)
  }

  func webSocket(_ connection: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    socket?.didReceive(message, kind)
  }

  func webSocketDidDrainBelowLowWatermark(_ connection: WebSocketConnection) { socket?.didDrain() }

  func webSocketDidClose(_ connection: WebSocketConnection, reason: CloseReason) {
    socket?.didClose(reason)
    socket = nil
  }
}

/// What can be sent whole.
private protocol OutgoingMessage: Sendable {
  func send(on connection: WebSocketConnection)
}

extension WebSocketMessage: OutgoingMessage {
  fileprivate func send(on connection: WebSocketConnection) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe connection.send(bytes.span.bytes, kind)
  }
}

extension PreparedMessage: OutgoingMessage {
  fileprivate func send(on connection: WebSocketConnection) { connection.send(self) }
}
