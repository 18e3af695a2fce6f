import Certificates
import CoordinationCore
import Glibc
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct CertsCommandTests {
    private let directory = TemporaryDirectory()

    private func certs(_ options: [String] = []) throws -> RunningProgram.Outcome {
      try RunningProgram(["certs", "--dir", directory.file("certs")] + options).end()
    }

    private func text(_ name: String) throws -> String { try PEMFile.read(directory.file("certs/\(name)")) }

    private func mode(_ name: String) -> mode_t {
      var status = stat()
      return stat(directory.file("certs/\(name)"), &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test func `it makes an authority and a server's certificate and says what to type next`() throws {
      let outcome = try certs(["--host", "build.example"])
      #expect(outcome.status == 0, "\(outcome.errors)")
      for name in ["ca-key.pem", "server-key.pem"] { #expect(mode(name) == 0o600, "\(name)") }
      for name in ["ca.pem", "server.pem"] { #expect(mode(name) == 0o644, "\(name)") }
      #expect(outcome.output.contains("for build.example, localhost, 127.0.0.1, ::1\n"))
      #expect(outcome.output.contains("\nNext:\n"))
      // Beyond this machine it takes keys as well.
      #expect(outcome.output.contains("  lifeline coordinator --host 0.0.0.0 --keys lifeline.keys "))
      #expect(outcome.output.contains("wss://build.example:8765"))
      #expect(!outcome.output.contains("PRIVATE"))
    }

    @Test func `the authority stays and nothing is overwritten without --force`() throws {
      #expect(try certs().status == 0)
      let (ca, server) = (try text("ca.pem"), try text("server.pem"))
      let again = try certs()
      #expect(again.status == 1)
      #expect(again.errors.contains("server.pem is there already; --force replaces it"))
      #expect(try text("server.pem") == server)
      #expect(try certs(["--force"]).status == 0)
      #expect(try text("server.pem") != server)
      #expect(try text("ca.pem") == ca)
    }

    @Test func `clients are added later without touching the server's certificate`() throws {
      #expect(try certs().status == 0)
      let server = try text("server.pem")
      let outcome = try certs(["--client", "worker-7", "--client", "worker-8", "--json"])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try text("server.pem") == server)
      #expect(mode("client-worker-7-key.pem") == 0o600)
      let files = try #require((try? JSONParser.parse(outcome.output))?.object?["files"]?.array)
      let made = files.filter { $0.object?["made"]?.bool == true }.compactMap { $0.object?["path"]?.string }
      let names = ["client-worker-7", "client-worker-7-key", "client-worker-8", "client-worker-8-key"]
      #expect(made == names.map { directory.file("certs/\($0).pem") })
      #expect(try certs(["--client", "worker-7"]).status == 1)
    }

    @Test func `half an authority, or one that does not fit, is told and left alone`() throws {
      #expect(try certs().status == 0)
      let key = try text("ca-key.pem")
      try PEMFile.write(try text("server-key.pem"), to: directory.file("certs/ca-key.pem"), .secret)
      let unfit = try certs(["--force"])
      #expect(unfit.status == 1)
      #expect(unfit.errors.contains("make no authority: the private key does not belong"), "\(unfit.errors)")
      unlink(directory.file("certs/ca-key.pem"))
      let half = try certs(["--force"])
      #expect(half.status == 1)
      #expect(half.errors.contains("ca-key.pem is missing beside its other half"), "\(half.errors)")
      try PEMFile.write(key, to: directory.file("certs/ca-key.pem"), .secret)
      #expect(try certs(["--force"]).status == 0)
    }

    @Test(arguments: [
      (["--host", "a b"], "--host: a b cannot stand in a certificate"),
      (["--host", "x,DNS:evil"], "--host: x,DNS:evil cannot stand in a certificate"),
      (["--client", "../x"], "--client ../x: expected"), (["--days", "0"], "--days: 0 is not valid"),
    ])
    func `wrong names are wrong usage and nothing is made`(options: [String], message: String) throws {
      let outcome = try certs(options)
      #expect(outcome.status == 2)
      #expect(outcome.errors.contains(message), "\(outcome.errors)")
      #expect(!PEMFile.exists(directory.file("certs")))
    }
  }
}
