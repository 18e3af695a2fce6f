import ExampleSupport
import Glibc
import Reactor
import WebSocket

/// Answers every text in capitals: the program of the guide "Your first service".
@main struct FirstService {
  static func main() {
    guard ExampleProgram.arguments.count == 1, let port = UInt16(ExampleProgram.arguments[0]) else {
      ExampleProgram.usage("example-first-service PORT (0 to 65535; 0 lets the system choose)")
    }
    ExampleProgram.run {
      try EventLoop.run(cancelledBy: [SIGINT, SIGTERM]) { _ in
        try await WebSocketServer.serve(
          at: .loopback(port: port),
          onListening: { address in ExampleProgram.say("listening on ws://\(address)") }
        ) { socket, request in
          for try await message in socket {
            guard let text = message.text else { continue }
            try await socket.send(text: text.uppercased())
          }
        }
      }
    }
  }
}
