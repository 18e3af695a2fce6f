import ArgumentParsing
import Certificates
import CoordinationCore
import Primitives
import Reactor

/// `lifeline certs`
enum CertsCommand: Subcommand {
  private static let directory = Option(
    "dir", .string, default: "certs", as: "DIR", "Where the files are, and are put; made if it is missing.")
  private static let hosts = Option(
    "host", repeated: .string, as: "NAME",
    "A name or an IP address that the server is reached by; localhost, 127.0.0.1 and ::1 are always among them.")
  private static let days = Option(
    "days", .integer(1...36_500), default: 365, as: "N",
    "How long the certificates are valid; never longer than their authority, which is for ten years.")
  private static let clients = Option(
    "client", repeated: .string, as: "NAME",
    "Also a certificate for a client of this name, for a coordinator that asks for one.")
  private static let force = Option(
    flag: "force", "Replace the server's and the clients' certificates that are there. The authority always stays.")

  static let command = ArgumentParsing.Command(
    "certs", "makes a private authority and certificates for TLS",
    details: [
      "The authority (ca.pem, ca-key.pem) is made the first time and used again from then on. Whoever has ca.pem believes "
        + "what the authority has signed, so ca-key.pem is the secret to keep; no other machine needs it.",
      "A server's certificate that is there stays when only --client is given, so that clients can be added later.",
      "Certificates begin an hour in the past, for clocks that are a little behind.",
    ],
    options: [directory, hosts, days, clients, force, ClientOptions.json],
    examples: [
      Example("lifeline certs", "For trying it out on this machine."),
      Example(
        "lifeline certs --host build.example --host 192.0.2.7", "For a coordinator that others reach by these names."),
      Example("lifeline certs --client worker-7", "And one for a worker, where workers must show one."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    for name in invocation[clients] where !CertificatePlan.isFileName(name) {
      throw invocation.error(
        "--client \(name.escapedForDisplay): expected 1 to 64 letters, digits, dots, hyphens and underscores")
    }
    let plan = CertificatePlan(
      directory: invocation[directory], hosts: invocation[hosts], clients: invocation[clients],
      days: invocation[days], replaces: invocation[force])
    do throws(CertificatePlan.Failure) {
      let result = try plan.perform(at: SystemWallClock.now())
      Console.standard.write(invocation[ClientOptions.json] ? result.json + "\n" : result.text)
      return 0
    } catch {
      switch error {
      case .badHost(let why): throw invocation.error("--host: \(why)")
      case .other(let why):
        Console.standard.complain("lifeline certs: \(why)")
        return 1
      }
    }
  }
}
