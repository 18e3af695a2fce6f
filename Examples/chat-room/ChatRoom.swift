import ExampleSupport
import Glibc
import Reactor
import WebSocket

/// A chat room on `ws://…/NAME`: what one says, everyone is sent.
@main struct ChatRoom {
  static func main() {
    let arguments = ExampleProgram.arguments
    guard (1...2).contains(arguments.count), let port = UInt16(arguments[0]),
      let slowMembers = arguments.count == 2 ? Room.SlowMembers(rawValue: arguments[1]) : .drop
    else {
      ExampleProgram.usage("example-chat-room PORT [drop|skip] (what becomes of slow members; drop)")
    }
    ExampleProgram.run {
      try EventLoop.run(cancelledBy: [SIGINT, SIGTERM]) { loop in
        var configuration = WebSocketConfiguration()
        configuration.compression = CompressionConfiguration()
        let room = Room(
          on: loop.serialExecutor, slowMembers: slowMembers, compression: configuration.compression)
        try await WebSocketServer.serve(
          at: .loopback(port: port), configuration: configuration,
          accept: { request in
            request.path.count > 1 ? .accept() : .reject(status: 404, message: "connect to /YOUR-NAME")
          },
          onListening: { ExampleProgram.say("listening on ws://\($0)") }
        ) { socket, request in
          try await serve(socket, name: String(request.path.dropFirst()), in: room)
        }
      }
    }
  }

  private static func serve(_ socket: AsyncWebSocket, name: String, in room: Room) async throws {
    let outbox = await room.join(name, socket)
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          // Waits while the member's connection is full: then its outbox fills, and nobody else's.
          for await message in outbox { try await socket.send(message) }
        }
        group.addTask {
          // A member that talks faster than the room takes it in is not read from meanwhile.
          for try await message in socket {
            if let text = message.text { await room.broadcast("\(name): \(text)") }
          }
        }
        // Whichever ends first, the other has nothing left to do.
        try await group.next()
        group.cancelAll()
      }
    } catch {
      await room.leave(socket)
      throw error
    }
    await room.leave(socket)
  }
}
