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
        + "is a line: ok, ready, or what is wrong. Of several, each is asked and has its line, and all must be well."
    ],
    options: [ClientOptions.coordinator, ready, timeout],
    sections: [OptionSection("Security", [ClientOptions.tlsCA, ClientOptions.tlsCertificate, ClientOptions.tlsKey])],
    examples: [
      Example("lifeline health", "Does the coordinator on this machine answer?"),
      Example("lifeline health --ready --coordinator wss://build.example:8765", "Could work be sent there?"),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let list = try ClientOptions.address(invocation)
    let path = invocation[ready] ? "/readyz" : "/healthz"
    do {
      let urls = try CoordinatorAddresses(list).targeting(path)
      let loop = try EventLoop()
      let tls = try ClientOptions.tls(invocation, for: list)
      var results: [Int: Result<HTTPAnswer, HTTPProbe.Problem>] = [:]
      let probes = urls.indices.map { index in
        HTTPProbe(urls[index], on: loop, timeout: invocation[timeout], tls: tls) {
          results[index] = $0
          if results.count == urls.count { loop.stop() }
        }
      }
      withExtendedLifetime(probes) { loop.run() }
      let areWell = urls.indices.map { report(results[$0], from: urls[$0].address, isOneOfMany: urls.count > 1) }
      return areWell.allSatisfy { $0 } ? 0 : 1
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("lifeline health: \(error)")
      return 1
    }
  }

  /// - Returns: whether all is well.
  private static func report(
    _ result: Result<HTTPAnswer, HTTPProbe.Problem>?, from address: String, isOneOfMany: Bool
  ) -> Bool {
    let answer: HTTPAnswer
    switch result {
    case nil: return false
    case .failure(let problem):
      Console.standard.complain("lifeline health: \(problem)")
      return false
    case .success(let given): answer = given
    }
    let object = try? JSONParser.parse(answer.body).object
    let word = object?["status"]?.string ?? ""
    guard answer.status == 200, !word.isEmpty else {
      let reason = object?["reason"]?.string ?? "it answered \(answer.status)"
      Console.standard.complain("lifeline health: the coordinator at \(address): \(reason.escapedForDisplay)")
      return false
    }
    Console.standard.write("\(isOneOfMany ? "\(address): " : "")\(word.escapedForDisplay)\n")
    return true
  }
}
