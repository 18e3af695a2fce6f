import ArgumentParsing
import CoordinationCore
import FaultProxy
import Primitives
import Reactor

/// `lifeline proxy-control`
enum ProxyControlCommand: Subcommand {
  private static let address = Argument("ADDRESS", .string, "What the proxy said: unix:PATH or HOST:PORT.")
  private static let words = Argument("COMMAND", repeated: .string, required: true, "See lifeline proxy --help.")

  static let command = ArgumentParsing.Command(
    "proxy-control", "tells a running proxy what to break",
    details: ["Prints the proxy's answer, a line of JSON. The exit status is 1 if it did not do it."],
    arguments: [address, words],
    examples: [
      Example("lifeline proxy-control unix:/tmp/proxy.sock up latency=200ms", "Slow down one direction."),
      Example("lifeline proxy-control 127.0.0.1:40123 heal", "End every fault."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let text = invocation[words].joined(separator: " ")
    // Judged here as well: a typing error is wrong usage, whether or not there is a proxy.
    do { _ = try FaultCommand(text) } catch { throw invocation.error("\(error)") }
    guard let target = ProxyProcess.controlAddress(invocation[address]) else {
      throw invocation.error("\(invocation[address]): expected unix:PATH, or an IP address and a port")
    }
    do { return try ask(target, text) } catch {
      Console.standard.complain("lifeline proxy-control: \(error)")
      return 1
    }
  }

  private static func ask(_ target: SocketAddress, _ text: String) throws(SystemError) -> Int32 {
    let loop = try EventLoop()
    let answer = Answer(loop)
    _ = Connection.connect(to: target, on: loop, timeout: .seconds(5)) { result in
      switch result {
      case .failure(let error):
        answer.problem = "\(error)"
        loop.stop()
      case .success(let connection):
        connection.delegate = answer
        connection.send(text + "\n")
      }
    }
    let bound = loop.schedule(after: .seconds(10)) {
      answer.problem = "no answer within 10 s"
      loop.stop()
    }
    loop.run()
    bound.cancel()
    guard let line = answer.line else {
      Console.standard.complain("lifeline proxy-control: \(answer.problem ?? "the proxy went away")")
      return 1
    }
    Console.standard.write(line + "\n")
    return (try? JSONParser.parse(line))?.object?["ok"]?.bool == true ? 0 : 1
  }

  private final class Answer: ConnectionDelegate {
    private let loop: EventLoop
    private var lines = CommandLines()
    var line: String?
    var problem: String?

    init(_ loop: EventLoop) { self.loop = loop }

    func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
      if let first = lines.append(bytes.bytes).first, line == nil {
        line = first
        loop.stop()
      }
    }

    func connectionDidClose(_ connection: Connection, error: SystemError?) {
      if line == nil { problem = error.map { "\($0)" } }
      loop.stop()
    }
  }
}
