import ArgumentParsing
import Coordination
import CoordinationCore
import Primitives
import Reactor
import WebSocket

/// `lifeline health`
enum HealthCommand: Subcommand {
  private static let ready = Option(
    flag: "ready", "Ask whether it can take work, too: its store commits and it is not about to end (/readyz).")
  private static let timeout = Option(
    "timeout", .duration(.milliseconds(10) ... .seconds(3_600)), default: .seconds(5),
    "How long to wait for its answer.")

  static let command = ArgumentParsing.Command(
    "health", "says whether a coordinator answers",
    details: [
      "Exit status 0 when it does and 1 when it does not, for scripts, containers and monitors; no key is needed. The answer "
        + "is a line: ok, ready, or what is wrong."
    ],
    options: [ClientOptions.coordinator, ready, timeout],
    sections: [OptionSection("Security", [ClientOptions.tlsCA, ClientOptions.tlsCertificate, ClientOptions.tlsKey])],
    examples: [
      Example("lifeline health", "Does the coordinator on this machine answer?"),
      Example("lifeline health --ready --coordinator wss://build.example:8765", "Could work be sent there?"),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let address = try ClientOptions.address(invocation)
    let path = invocation[ready] ? "/readyz" : "/healthz"
    do {
      let base = try WebSocketURL(address)
      let url = try WebSocketURL(host: base.host, port: base.port, target: path, isSecure: base.isSecure)
      let loop = try EventLoop()
      let tls = try ClientOptions.tls(invocation, for: address)
      var result: Result<HTTPAnswer, HTTPProbe.Problem>?
      let probe = HTTPProbe(url, on: loop, timeout: invocation[timeout], tls: tls) {
        result = $0
        loop.stop()
      }
      withExtendedLifetime(probe) { loop.run() }
      return try report(result?.get(), from: address)
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("lifeline health: \(error)")
      return 1
    }
  }

  private static func report(_ answer: HTTPAnswer?, from address: String) -> Int32 {
    guard let answer else { return 1 }
    let object = try? JSONParser.parse(answer.body).object
    let word = object?["status"]?.string ?? ""
    guard answer.status == 200, !word.isEmpty else {
      let reason = object?["reason"]?.string ?? "it answered \(answer.status)"
      Console.standard.complain("lifeline health: the coordinator at \(address): \(reason.escapedForDisplay)")
      return 1
    }
    Console.standard.write("\(word.escapedForDisplay)\n")
    return 0
  }
}
