import Glibc
import Reactor
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct HealthCommandTests {
    @Test(arguments: [([], "ok\n"), (["--ready"], "ready\n")])
    func `a coordinator that serves is said to`(options: [String], word: String) throws {
      let fleet = try Fleet(workers: 0)
      let outcome = try fleet.start(["health"] + options).end()
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output == word)
    }

    @Test func `of several each has its line, and one that does not answer spoils it`() throws {
      let (fleet, other) = (try Fleet(workers: 0), try Fleet(workers: 0))
      let well = try RunningProgram(["health", "--coordinator", "\(fleet.url),\(other.url)"]).end()
      #expect(well.status == 0, "\(well.errors)")
      #expect(well.output == "\(fleet.url): ok\n\(other.url): ok\n")
      let ill = try RunningProgram(["health", "--coordinator", "ws://127.0.0.1:1,\(other.url)"]).end()
      #expect(ill.status == 1)
      #expect(ill.output == "\(other.url): ok\n")
      #expect(ill.errors.contains("127.0.0.1:1"), "\(ill.errors)")
    }

    @Test func `over TLS it asks only the coordinator that the address names`() throws {
      let certificates = try TestCertificates()
      let files = try certificates.issue("server", names: ["127.0.0.1"])
      let fleet = try Fleet(
        coordinator: ["--tls-certificate", files.certificate, "--tls-key", files.key], workers: 0)
      let good = try fleet.start(["health", "--tls-ca", certificates.caFile]).end()
      #expect(good.status == 0, "\(good.errors)")
      let bad = try fleet.start(["health"]).end()
      #expect(bad.status == 1)
      #expect(bad.errors.contains("certificate"), "\(bad.errors)")
    }

    @Test(arguments: [
      (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 48\r\n\r\n{\"status\":\"not ready\",\"reason\":\"it is draining\"}",
        "it is draining"
      ),
      ("HTTP/1.1 404 Not Found\r\n\r\nno such path", "it answered 404"),
      ("HTTP/1.1 200 OK\r\n\r\nhello", "it answered 200"),
      ("SSH-2.0-OpenSSH_9.2\r\n", "without an HTTP answer"),
      ("", "without an HTTP answer"),
    ])
    func `whatever else answers is not healthy, and it is said why`(answer: String, reason: String) throws {
      let server = try RunningServer { loop in
        try Listener.listen(at: .loopback(), on: loop) { $0.delegate = FixedAnswer(answer) }.localAddress
      }
      defer { server.stop() }
      let outcome = try RunningProgram(["health", "--ready", "--coordinator", "ws://\(server.address)"]).end()
      #expect(outcome.status == 1)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains(reason), "\(outcome.errors)")
    }

    @Test func `silence is an error after a while`() throws {
      let server = try RunningServer { loop in
        try Listener.listen(at: .loopback(), on: loop) { $0.delegate = FixedAnswer(nil) }.localAddress
      }
      defer { server.stop() }
      let outcome = try RunningProgram(["health", "--timeout", "0.05", "--coordinator", "ws://\(server.address)"]).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("has not answered"), "\(outcome.errors)")
    }

    @Test func `nobody who listens is an error that names the address`() throws {
      let outcome = try RunningProgram(["health", "--coordinator", "ws://127.0.0.1:1"]).end()
      #expect(outcome.status == 1)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains("127.0.0.1:1"), "\(outcome.errors)")
    }
  }
}

/// Answers whatever comes with the same text, or never, and ends the connection.
private final class FixedAnswer: ConnectionDelegate {
  private let text: String?

  init(_ text: String?) { self.text = text }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    guard let text else { return }
    connection.send(text)
    connection.close()
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {}
}
