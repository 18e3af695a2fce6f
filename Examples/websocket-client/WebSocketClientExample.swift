import ExampleSupport
import Glibc
import Reactor
import WebSocket

/// Sends messages to a WebSocket server and prints as many answers.
///
/// Which transport that takes is the URL's matter: nothing below this line knows. With `wss://` the server must prove to
/// be the URL's host to the system's authorities; `withConnection` takes others as `tls`.
@main struct WebSocketClientExample {
  static func main() {
    let arguments = ExampleProgram.arguments
    guard arguments.count > 1 else {
      ExampleProgram.usage("example-websocket-client URL MESSAGE…")
    }
    let url: WebSocketURL
    do throws(WebSocketURL.ParseError) {
      url = try WebSocketURL(arguments[0])
    } catch {
      ExampleProgram.end("\(arguments[0]): \(error)", status: 2)
    }
    ExampleProgram.run {
      try EventLoop.run(cancelledBy: [SIGINT, SIGTERM]) { _ in
        try await exchange(Array(arguments.dropFirst()), with: url)
      }
    }
  }

  private static func exchange(_ messages: [String], with url: WebSocketURL) async throws {
    try await WebSocketClient.withConnection(to: url) { socket in
      // Sending and receiving side by side: a server that answers at once must not wait for our last message.
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          for message in messages { try await socket.send(text: message) }
        }
        group.addTask {
          var left = messages.count
          for try await message in socket {
            ExampleProgram.say(message.text ?? "\(message.bytes.count) bytes")
            left -= 1
            if left == 0 { return }
          }
          throw Unanswered(count: left)
        }
        try await group.waitForAll()
      }
    }
  }

  private struct Unanswered: Error, CustomStringConvertible {
    let count: Int
    var description: String { "the server closed the connection with \(count) messages unanswered" }
  }
}
