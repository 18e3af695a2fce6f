import Glibc
import TestSupport
import Testing

@testable import Reactor

/// Against other people's clients.
@Suite(.timeLimit(.minutes(2))) struct TLSProgramTests {
  private let certificates: TestCertificates
  private let ends = EventLog<String>("ends")

  init() throws { certificates = try TestCertificates() }

  private struct Outcome {
    let status: Reactor.ExitStatus
    let output: String
    let errors: String
    var all: String { output + "\n" + errors }
  }

  private func run(_ name: String, _ arguments: [String], input: String = "") throws -> Outcome {
    let process = try TestProcess(try #require(TestProcess.find(name)), arguments, input: input)
    let status = try process.exit()
    return Outcome(
      status: status, output: process.output.all.joined(separator: "\n"),
      errors: process.errors.all.joined(separator: "\n"))
  }

  private func client(_ server: RunningServer, _ options: [String], input: String = "") throws -> Outcome {
    try run(
      "openssl",
      ["s_client", "-connect", "127.0.0.1:\(server.address.port ?? 0)", "-CAfile", certificates.caFile] + options,
      input: input)
  }

  static let hasOpenSSL = TestProcess.find("openssl") != nil
  static let hasCurl = TestProcess.find("curl") != nil

  @Test(.enabled(if: hasOpenSSL, "there is no openssl program here"), arguments: ["-tls1_2", "-tls1_3"])
  func `openssl s_client is content with the certificate and gets its echo`(version: String) throws {
    let server = try TLSBadPeerTests.serve(certificates.server(), ends, closesAfter: true)
    defer { server.stop() }
    let options = [
      version, "-quiet", "-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost",
    ]
    let outcome = try client(server, options, input: "hello\n")
    #expect(outcome.output.contains("hello"), "\(outcome.all)")
    try ends.first("an orderly end") { $0 == "in order" }
  }

  @Test(.enabled(if: hasOpenSSL, "there is no openssl program here"))
  func `openssl s_client takes TLS 1_2 sessions up again`() throws {
    let server = try TLSBadPeerTests.serve(certificates.server(), ends)
    defer { server.stop() }
    let outcome = try client(server, ["-tls1_2", "-reconnect", "-no_ign_eof"])
    #expect(outcome.output.contains("Reused, TLSv1.2"), "\(outcome.all)")
  }

  @Test(.enabled(if: hasOpenSSL, "there is no openssl program here"), arguments: ["-tls1", "-tls1_1"])
  func `openssl s_client of TLS 1_0 or 1_1 is refused`(version: String) throws {
    let server = try TLSBadPeerTests.serve(certificates.server(), ends)
    defer { server.stop() }
    let outcome = try client(server, [version, "-cipher", "DEFAULT@SECLEVEL=0"])
    #expect(outcome.status == .exited(1))
    #expect(outcome.all.contains("alert protocol version"), "\(outcome.all)")
    try ends.first("protocol version") { $0.contains("1.2 is the oldest that is spoken here") }
  }

  @Test(.enabled(if: hasOpenSSL, "there is no openssl program here"))
  func `openssl s_client cannot renegotiate`() throws {
    let server = try TLSBadPeerTests.serve(certificates.server(), ends)
    defer { server.stop() }
    let outcome = try client(server, ["-tls1_2"], input: "R\n")
    #expect(outcome.all.contains("no renegotiation"), "\(outcome.all)")
  }

  private func serveHTTP() throws -> RunningServer {
    let context = try certificates.server()
    return try RunningServer { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop, tls: context) { connection in
        let recorder = Recorder()
        recorder.onReceive = { connection in
          guard recorder.text.hasSuffix("\r\n\r\n") else { return }
          connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
          connection.close()
        }
        connection.delegate = recorder
      }
      return listener.localAddress
    }
  }

  private func curl(_ url: String, _ options: [String]) throws -> Outcome {
    try run("curl", ["--silent", "--show-error", "--max-time", "10", "--noproxy", "*"] + options + [url])
  }

  @Test(.enabled(if: hasCurl, "there is no curl here"))
  func `curl believes the authority it is given, and no other`() throws {
    let server = try serveHTTP()
    defer { server.stop() }
    let port = server.address.port ?? 0
    let resolve = ["--resolve", "localhost:\(port):127.0.0.1", "--resolve", "elsewhere.example:\(port):127.0.0.1"]
    let good = try curl("https://localhost:\(port)/", resolve + ["--cacert", certificates.caFile])
    #expect(good.status == .exited(0), "\(good.errors)")
    #expect(good.output == "hello")
    // 60: the certificate is not believed (curl(1)).
    let strange = try curl("https://localhost:\(port)/", resolve)
    #expect(strange.status == .exited(60), "\(strange.all)")
    let wrongHost = try curl("https://elsewhere.example:\(port)/", resolve + ["--cacert", certificates.caFile])
    #expect(wrongHost.status == .exited(60), "\(wrongHost.all)")
  }

  @Test(.enabled(if: hasCurl, "there is no curl here"))
  func `curl without TLS is told what the port speaks`() throws {
    let server = try serveHTTP()
    defer { server.stop() }
    let outcome = try curl("http://127.0.0.1:\(server.address.port ?? 0)/", ["--write-out", "\n%{http_code}"])
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    #expect(outcome.output.hasSuffix("\n400"), "\(outcome.output)")
    #expect(outcome.output.contains("this port speaks TLS"))
  }
}
