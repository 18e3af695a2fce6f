public import Certificates
import Primitives
public import Reactor

/// A private authority and what it vouches for, as files of a folder of their own: made when a test needs them, because
/// checked-in ones expire.
public final class TestCertificates {
  /// A certificate and its key.
  public struct Files: Sendable {
    public let certificate: String
    public let key: String
  }

  public let directory = TemporaryDirectory()
  public let authority: CertificateAuthority
  private let now = SystemWallClock.now()

  /// What those must be given who are to believe the authority.
  public var caFile: String { directory.file("ca.pem") }

  public init() throws {
    let now = SystemWallClock.now().milliseconds
    authority = try CertificateAuthority(
      commonName: "Test authority", notBefore: WallTime(milliseconds: now - 3_600_000),
      notAfter: WallTime(milliseconds: now + 3_600_000))
    try PEMFile.write(authority.identity.certificate, to: caFile, .open)
  }

  /// Issues a certificate into `NAME.pem` and `NAME-key.pem`, valid between two times from now in seconds.
  public func issue(
    _ name: String, names: [String] = [], use: CertificateProfile.Use = .server, from: Int64 = -3_600,
    to: Int64 = 3_600
  ) throws -> Files {
    let identity = try authority.issue(
      CertificateProfile(
        commonName: name, names: names, use: use, notBefore: WallTime(milliseconds: now.milliseconds + from * 1_000),
        notAfter: WallTime(milliseconds: now.milliseconds + to * 1_000)))
    let files = Files(certificate: directory.file("\(name).pem"), key: directory.file("\(name)-key.pem"))
    try PEMFile.write(identity.privateKey, to: files.key, .secret)
    try PEMFile.write(identity.certificate, to: files.certificate, .open)
    return files
  }

  /// A server's configuration, by default for this machine.
  public func serverConfiguration(
    _ name: String = "server", names: [String] = ["localhost", "127.0.0.1", "::1"], from: Int64 = -3_600,
    to: Int64 = 3_600
  ) throws -> TLSServerConfiguration {
    let files = try issue(name, names: names, from: from, to: to)
    return TLSServerConfiguration(certificateChainFile: files.certificate, privateKeyFile: files.key)
  }

  /// A client's configuration that believes this authority, and shows `identity` if asked.
  public func clientConfiguration(_ identity: Files? = nil) -> TLSClientConfiguration {
    var configuration = TLSClientConfiguration()
    configuration.caFile = caFile
    configuration.certificateChainFile = identity?.certificate
    configuration.privateKeyFile = identity?.key
    return configuration
  }

  public func server() throws -> TLSServerContext { try TLSServerContext(serverConfiguration()) }

  public func client() throws -> TLSClientContext { try TLSClientContext(clientConfiguration()) }
}
