import Coordination
import CoordinationCore
import ExampleSupport
import Glibc
import Reactor

/// Counts the workers' votes: a message type of one's own, in one file.
struct VoteHandler: MessageHandler {
  static let kinds: [MessageKind] = ["vote"]
  private var votes: [String: Int64] = [:]

  mutating func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    // A worker that sends something else gets the error; the connection goes on.
    let choice = try message.reader.string("choice", maxBytes: 64)
    votes[choice, default: 0] += 1
    context.send("vote_count", ["choice": .string(choice), "votes": .integer(votes[choice, default: 0])])
  }
}

@main struct MessageHandlerExample {
  static func main() {
    let arguments = ExampleProgram.arguments
    guard arguments.count == 1, let port = UInt16(arguments[0]) else {
      ExampleProgram.usage("example-message-handler PORT (0 to 65535; 0 lets the system choose)")
    }
    ExampleProgram.run {
      try EventLoop.run(cancelledBy: [SIGINT, SIGTERM]) { loop in
        var settings = CoordinatorSettings()
        settings.port = port
        // Made on the coordinator's loop, where it lives: a handler needs no locks.
        settings.handlers = { [VoteHandler()] }
        let coordinator = try await Coordinator.start(settings)
        ExampleProgram.say("listening on \(coordinator.url)")
        // Ended by the signal, which cancels this task.
        while (try? await loop.sleep(for: .seconds(3600))) != nil {}
        await coordinator.stop()
      }
    }
  }
}
