import Reactor
import WebSocket

// What the guides of `WebSocket.docc` show; `Scripts/doc-examples.sh` compares.

/// Asks a server one question.
func ask(_ question: String, of url: WebSocketURL) async throws -> String? {
  try await WebSocketClient.withConnection(to: url) { socket in
    try await socket.send(text: question)
    return try await socket.first { $0.kind == .text }?.text
  }
}

/// Compresses with contexts of 49 KiB, or of none of its own.
func compressing(_ context: CompressionConfiguration.Context) -> WebSocketConfiguration {
  var compression = CompressionConfiguration(context: context)
  compression.maxOutgoingWindowBits = 12
  compression.maxIncomingWindowBits = 12
  compression.memoryLevel = 5
  var configuration = WebSocketConfiguration()
  configuration.compression = compression
  return configuration
}

/// Sends news while it listens for what the client wants, on the connection's loop both.
func serveNews(_ socket: AsyncWebSocket, _ news: AsyncStream<String>) async throws {
  try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask {
      for await line in news { try await socket.send(text: line) }
    }
    group.addTask {
      for try await message in socket where message.text == "stop" { return }
    }
    try await group.next()
    group.cancelAll()
  }
}

/// Receives at most ten messages a second; the peer is held back to that.
func receiveSlowly(_ socket: AsyncWebSocket, _ handle: (WebSocketMessage) -> Void) async throws {
  for try await message in socket {
    handle(message)
    try await socket.executor.sleep(for: .milliseconds(100))
  }
}

/// Pushes what is newest to a client, and leaves out what the client is too slow for.
final class Ticker: WebSocketDelegate {
  private var isHeldBack = false

  func push(_ price: Int, to socket: WebSocketConnection) {
    if !isHeldBack { socket.send(text: "\(price)") }
  }

  func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) { isHeldBack = true }
  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) { isHeldBack = false }
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {}
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
}
