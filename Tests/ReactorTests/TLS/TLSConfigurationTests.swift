import Certificates
import Glibc
import TestSupport
import Testing

@testable import Reactor

@Suite struct TLSConfigurationTests {
  private let certificates: TestCertificates

  init() throws { certificates = try TestCertificates() }

  private func text(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch { return "\(error)" }
  }

  private func server(_ change: (inout TLSServerConfiguration) throws -> Void) -> String {
    text {
      var configuration = try certificates.serverConfiguration()
      try change(&configuration)
      _ = try TLSServerContext(configuration)
    }
  }

  private func client(_ change: (inout TLSClientConfiguration) throws -> Void) -> String {
    text {
      var configuration = certificates.clientConfiguration()
      try change(&configuration)
      _ = try TLSClientContext(configuration)
    }
  }

  private func file(_ name: String, _ text: String) throws -> String {
    let path = certificates.directory.file(name)
    try PEMFile.write(text, to: path, .secret)
    return path
  }

  @Test func `what is right is taken`() {
    #expect(server { _ in } == "no error")
    #expect(client { _ in } == "no error")
  }

  @Test func `a file that is missing is named`() {
    #expect(
      server { $0.certificateChainFile = "/nonexistent/a.pem" }
        == "the certificate file /nonexistent/a.pem cannot be read: No such file or directory")
    #expect(
      server { $0.privateKeyFile = "/nonexistent/b.pem" }
        == "the private key file /nonexistent/b.pem cannot be read: No such file or directory")
    for text in [server { $0.clientCAFile = "/nonexistent/c.pem" }, client { $0.caFile = "/nonexistent/c.pem" }] {
      #expect(text.hasSuffix("/nonexistent/c.pem cannot be read: No such file or directory"), "\(text)")
    }
  }

  @Test func `a file without what it should hold is named`() throws {
    let empty = try file("empty.pem", "nothing here\n")
    #expect(server { $0.certificateChainFile = empty }.hasPrefix("\(empty) holds no PEM certificate: "))
    #expect(
      server { $0.privateKeyFile = empty }.hasPrefix("\(empty) holds no PEM private key without a passphrase: "))
    #expect(client { $0.caFile = empty }.hasPrefix("\(empty) holds no PEM certificate of an authority: "))
  }

  @Test func `a key of another certificate is refused`() throws {
    let other = try certificates.issue("other")
    let certificate = certificates.directory.file("server.pem")
    #expect(
      server { $0.privateKeyFile = other.key }
        == "the private key \(other.key) does not belong to the certificate \(certificate)")
  }

  @Test(arguments: [0o644, 0o604, 0o660, 0o601] as [mode_t])
  func `a key that others may read is refused with what to do`(mode: mode_t) throws {
    let files = try certificates.issue("shared")
    // What root owns may be readable by a group, as packages install it.
    let isGroupOfRoot = getuid() == 0 && mode & 0o7 == 0 && mode & 0o020 == 0
    #expect(chmod(files.key, mode) == 0)
    let text = server {
      $0.certificateChainFile = files.certificate
      $0.privateKeyFile = files.key
    }
    let expected = "others may read the private key file \(files.key); do: chmod 600 \(files.key)"
    #expect(text == (isGroupOfRoot ? "no error" : expected))
  }

  @Test func `a client's certificate and key need each other`() throws {
    let files = try certificates.issue("worker", use: .client)
    #expect(client { $0.certificateChainFile = files.certificate }.contains("needs its private key as well"))
    #expect(client { $0.privateKeyFile = files.key }.contains("needs its certificate as well"))
  }
}
