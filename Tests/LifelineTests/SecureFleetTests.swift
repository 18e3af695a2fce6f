import Certificates
import Glibc
import TestSupport
import Testing

extension LifelineTests {
  /// Whole programs over TLS.
  @Suite struct SecureFleetTests {
    private let certificates: TestCertificates
    private let files: TestCertificates.Files

    init() throws {
      certificates = try TestCertificates()
      files = try certificates.issue("server", names: ["localhost", "127.0.0.1", "::1"])
    }

    private var trust: [String] { ["--tls-ca", certificates.caFile] }

    private func fleet(_ options: [String] = []) throws -> Fleet {
      try Fleet(
        coordinator: ["--tls-certificate", files.certificate, "--tls-key", files.key] + options, workers: 0)
    }

    private func log(_ fleet: Fleet, _ name: String) -> String {
      String(decoding: contents(of: fleet.directory.file("\(name).log")), as: UTF8.self)
    }

    private func run(_ fleet: Fleet, _ options: [String]) throws -> RunningProgram.Outcome {
      try fleet.start(["run", "--patience", "3"] + options + ["--", "true"]).end()
    }

    private func tasks(_ fleet: Fleet, _ options: [String]) throws -> RunningProgram.Outcome {
      try fleet.start(["tasks", "--patience", "1"] + options).end()
    }

    /// Tells the coordinator to read its files again, and waits for what it says to it.
    private func reload(_ fleet: Fleet, expecting text: String) throws {
      let before = log(fleet, "coordinator").split(separator: "\n").count { $0.contains(text) }
      fleet.coordinator?.signal(SIGHUP)
      try eventually("\(text) in the log") {
        log(fleet, "coordinator").split(separator: "\n").count { $0.contains(text) } > before ? true : nil
      }
    }

    @Test func `a renewed certificate serves new connections, and no worker notices`() throws {
      let fleet = try fleet()
      #expect(fleet.url.hasPrefix("wss://127.0.0.1:"))
      try fleet.startWorker("w", trust)
      let first = try run(fleet, trust)
      #expect(first.status == 0, "\(first.errors)")

      // One that new clients cannot believe shows that it is used, while the worker stays.
      _ = try certificates.issue("server", names: ["elsewhere.example"])
      try reload(fleet, expecting: "certificate reloaded")
      let refused = try tasks(fleet, trust)
      #expect(refused.status == 1)
      #expect(refused.errors.contains("the server's certificate is for elsewhere.example"), "\(refused.errors)")

      _ = try certificates.issue("server", names: ["localhost", "127.0.0.1"])
      try reload(fleet, expecting: "certificate reloaded")
      let second = try run(fleet, trust)
      #expect(second.status == 0, "\(second.errors)")

      // A key of another certificate is refused and the old pair stays.
      let other = try certificates.issue("other")
      try PEMFile.write(try PEMFile.read(other.key), to: files.key, .secret)
      try reload(fleet, expecting: "certificate not reloaded; the old one stays")
      let third = try run(fleet, trust)
      #expect(third.status == 0, "\(third.errors)")

      let registrations = log(fleet, "w").split(separator: "\n").count { $0.contains("worker: registered") }
      #expect(registrations == 1, "\(log(fleet, "w"))")
    }

    @Test func `whom a client does not believe is told with what to do`() throws {
      let fleet = try fleet()
      let unknown = try tasks(fleet, [])
      #expect(unknown.status == 1)
      #expect(unknown.errors.contains("nobody who is trusted here has signed"), "\(unknown.errors)")
      let plain = try tasks(fleet, ["--coordinator", fleet.url.replacing("wss://", with: "ws://")])
      #expect(plain.status == 1)
      #expect(plain.errors.contains("400"), "\(plain.errors)")
      let missing = try tasks(fleet, ["--tls-ca", "/nonexistent/ca.pem"])
      #expect(missing.status == 1)
      #expect(missing.errors.contains("/nonexistent/ca.pem cannot be read"), "\(missing.errors)")
    }

    @Test func `who must show a certificate is turned away without one`() throws {
      let fleet = try fleet(["--tls-client-ca", certificates.caFile])
      let without = try tasks(fleet, trust)
      #expect(without.status == 1)
      #expect(without.errors.contains("the server asks for a client certificate"), "\(without.errors)")
      let mine = try certificates.issue("operator", use: .client)
      let with = try tasks(fleet, trust + ["--tls-certificate", mine.certificate, "--tls-key", mine.key])
      #expect(with.status == 0, "\(with.errors)")
    }

    @Test func `a key that others may read stops the coordinator before it listens`() throws {
      #expect(chmod(files.key, 0o644) == 0)
      let outcome = try RunningProgram(
        [
          "coordinator", "--port", "0", "--store", "memory", "--tls-certificate", files.certificate, "--tls-key",
          files.key,
        ]
      ).end()
      #expect(outcome.status == 1)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains("chmod 600 \(files.key)"), "\(outcome.errors)")
    }

    @Test func `what lifeline certs says to type next works as it stands`() throws {
      let directory = TemporaryDirectory()
      let made = try RunningProgram(["certs", "--dir", directory.file("certs"), "--client", "w"]).end()
      #expect(made.status == 0, "\(made.errors)")
      let lines = made.lines.filter { $0.hasPrefix("  lifeline ") }
      let words = lines.map { $0.split(separator: " ").dropFirst().map(String.init) }
      let coordinator = try #require(words.first { $0.first == "coordinator" })
      let worker = try #require(words.first { $0.first == "worker" })
      let fleet = try Fleet(coordinator: Array(coordinator.dropFirst()), workers: 0)
      // The line's own address is the default port's; here the port is free.
      try fleet.startWorker("w", Array(worker.dropFirst()) + ["--coordinator", fleet.url])
      try eventually("a registration") { log(fleet, "w").contains("worker: registered") ? true : nil }
    }
  }
}
