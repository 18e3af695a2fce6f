import Certificates
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct CertificateAuthorityTests {
  private static let now = WallTime(milliseconds: 1_767_225_600_000)  // 2026-01-01
  private static let day: Int64 = 86_400_000

  private static func after(days: Int64) -> WallTime { WallTime(milliseconds: now.milliseconds + days * day) }

  private static func authority() throws -> CertificateAuthority {
    try CertificateAuthority(commonName: "Test authority", notBefore: now, notAfter: after(days: 100))
  }

  private static func profile(
    _ names: [String] = ["localhost"], commonName: String = "server", use: CertificateProfile.Use = .server,
    from start: WallTime = now, to end: WallTime = after(days: 10)
  ) -> CertificateProfile {
    CertificateProfile(commonName: commonName, names: names, use: use, notBefore: start, notAfter: end)
  }

  /// What `openssl verify` says about `identity` at a second of January 2026; `nil` where there is no such program.
  private static func verdict(
    _ identity: Identity, by authority: CertificateAuthority, at time: WallTime, _ options: [String] = []
  ) throws -> (isGood: Bool, text: String)? {
    guard let program = TestProcess.find("openssl") else { return nil }
    let directory = TemporaryDirectory()
    try PEMFile.write(authority.identity.certificate, to: directory.file("ca.pem"), .open)
    try PEMFile.write(identity.certificate, to: directory.file("leaf.pem"), .open)
    let process = try TestProcess(
      program,
      ["verify", "-x509_strict", "-attime", "\(time.milliseconds / 1_000)", "-CAfile", directory.file("ca.pem")]
        + options + [directory.file("leaf.pem")], input: "")
    let status = try process.exit()
    return (status == .exited(0), (process.output.all + process.errors.all).joined(separator: "\n"))
  }

  @Test(
    .enabled(if: TestProcess.find("openssl") != nil, "there is no openssl program here"),
    arguments: [
      (["-purpose", "sslserver", "-verify_hostname", "localhost"], 1, true, "OK"),
      (["-purpose", "sslserver", "-verify_hostname", "a.build.example"], 1, true, "OK"),
      (["-purpose", "sslserver", "-verify_ip", "::1"], 1, true, "OK"),
      (["-purpose", "sslserver", "-verify_ip", "192.0.2.7"], 1, true, "OK"),
      (["-purpose", "sslserver", "-verify_hostname", "a.b.build.example"], 1, false, "hostname mismatch"),
      (["-purpose", "sslserver", "-verify_ip", "192.0.2.8"], 1, false, "IP address mismatch"),
      (["-purpose", "sslclient"], 1, false, "unsuitable certificate purpose"),
      ([], 11, false, "certificate has expired"), ([], -1, false, "not yet valid"),
    ] as [([String], Int64, Bool, String)])
  func `what it issues is judged by others as it was asked for`(
    options: [String], day: Int64, isGood: Bool, text: String
  ) throws {
    let authority = try Self.authority()
    let identity = try authority.issue(Self.profile(["localhost", "*.build.example", "::1", "192.0.2.7"]))
    let verdict = try #require(
      try Self.verdict(identity, by: authority, at: Self.after(days: day), options))
    #expect(verdict.isGood == isGood, "\(verdict.text)")
    #expect(verdict.text.contains(text), "\(verdict.text)")
  }

  @Test(.enabled(if: TestProcess.find("openssl") != nil, "there is no openssl program here"))
  func `another authority of the same name does not vouch for it`() throws {
    let identity = try Self.authority().issue(Self.profile())
    let verdict = try #require(try Self.verdict(identity, by: Self.authority(), at: Self.after(days: 1)))
    #expect(!verdict.isGood, "\(verdict.text)")
  }

  @Test(.enabled(if: TestProcess.find("openssl") != nil, "there is no openssl program here"))
  func `a client's certificate is for clients`() throws {
    let authority = try Self.authority()
    let identity = try authority.issue(Self.profile([], commonName: "worker-7", use: .client))
    let time = Self.after(days: 1)
    let asClient = try #require(try Self.verdict(identity, by: authority, at: time, ["-purpose", "sslclient"]))
    let asServer = try #require(try Self.verdict(identity, by: authority, at: time, ["-purpose", "sslserver"]))
    #expect(asClient.isGood, "\(asClient.text)")
    #expect(!asServer.isGood, "\(asServer.text)")
  }

  @Test func `an authority that was kept goes on issuing`() throws {
    let first = try Self.authority()
    let kept = try first.identity
    let second = try CertificateAuthority(certificate: kept.certificate, privateKey: kept.privateKey)
    #expect(try second.identity == kept)
    #expect(second.notAfter == Self.after(days: 100))
    let identity = try second.issue(Self.profile())
    if let verdict = try Self.verdict(identity, by: first, at: Self.after(days: 1)) {
      #expect(verdict.isGood, "\(verdict.text)")
    }
  }

  @Test func `a key of another certificate, a leaf and nonsense are no authority`() throws {
    let (one, other) = (try Self.authority(), try Self.authority())
    let (mine, theirs) = (try one.identity, try other.identity)
    let leaf = try one.issue(Self.profile())
    #expect(throws: CertificateError.keyDoesNotFit) {
      try CertificateAuthority(certificate: mine.certificate, privateKey: theirs.privateKey)
    }
    #expect(throws: CertificateError.notAnAuthority) {
      try CertificateAuthority(certificate: leaf.certificate, privateKey: leaf.privateKey)
    }
    #expect(throws: CertificateError.noCertificate) {
      try CertificateAuthority(certificate: "", privateKey: mine.privateKey)
    }
    #expect(throws: CertificateError.noPrivateKey) {
      try CertificateAuthority(certificate: mine.certificate, privateKey: mine.certificate)
    }
  }

  @Test(arguments: [
    "", "a b", "a,DNS:evil.example", "a..b", "-a", "a-", "*", "*.example", "a.*.b", "host\u{0}name", "ü.example",
    String(repeating: "a", count: 64), String(repeating: "a.", count: 127) + "a",
  ])
  func `what is no name of a host is refused`(name: String) throws {
    #expect(throws: CertificateError.self) { try Self.authority().issue(Self.profile([name])) }
  }

  @Test func `an empty validity and a long common name are refused`() throws {
    let authority = try Self.authority()
    #expect(throws: CertificateError.emptyValidity) {
      try authority.issue(Self.profile(from: Self.now, to: Self.now))
    }
    let long = String(repeating: "n", count: 65)
    #expect(throws: CertificateError.badName(long, why: "a common name has 1 to 64 characters")) {
      try authority.issue(Self.profile(commonName: long))
    }
  }

  @Test func `an identity's description never shows the key`() throws {
    let identity = try Self.authority().identity
    #expect(identity.privateKey.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
    var dumped = ""
    dump(identity, to: &dumped)
    for text in ["\(identity)", String(reflecting: identity), dumped] { #expect(!text.contains("PRIVATE KEY")) }
  }

  @Test func `a key's file is its owner's alone, also where a more open one was`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("key.pem")
    try PEMFile.write("old", to: path, .open)
    try PEMFile.write("new", to: path, .secret)
    var status = stat()
    #expect(stat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o600)
    #expect(try PEMFile.read(path) == "new")
    #expect(!PEMFile.exists(path + ".new"))
    #expect(throws: PEMFileError.self) { try PEMFile.write("x", to: directory.file("missing/key.pem"), .secret) }
  }
}
