import Certificates
import Glibc
import Primitives

/// What `lifeline certs` is to make, and how it makes it.
struct CertificatePlan {
  enum Failure: Error {
    case badHost(String)
    case other(String)
  }

  let directory: String
  /// As they were given; the usual ones come on top.
  let hosts: [String]
  let clients: [String]
  let days: Int
  let replaces: Bool

  private static let usualHosts = ["localhost", "127.0.0.1", "::1"]
  private static let authorityDays = 3_650
  /// Clocks of one fleet differ; a certificate that is not valid yet is refused.
  private static let grace: Int64 = 3_600_000
  private static let day: Int64 = 86_400_000

  static func isFileName(_ name: String) -> Bool {
    (1...64).contains(name.utf8.count) && name.first != "." && name.first != "-"
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  private var names: [String] { hosts + Self.usualHosts.filter { !hosts.contains($0) } }

  func perform(at now: WallTime) throws(Failure) -> CertificateReport {
    let server = Paths(directory, "server")
    let makesServer = clients.isEmpty || !hosts.isEmpty || !server.existInPart
    let wanted = (makesServer ? [server] : []) + clients.map { Paths(directory, "client-\($0)") }
    // Nothing is made unless everything can be.
    for name in hosts {
      do throws(CertificateError) { try CertificateProfile.check(name: name) } catch { throw .badHost("\(error)") }
    }
    if !replaces, let taken = wanted.first(where: \.existInPart) {
      throw .other("\(taken.certificate) is there already; --force replaces it, --dir makes another set")
    }
    try makeDirectory()
    let (authority, isNew) = try authority(at: now)
    let end = min(now.milliseconds + Int64(days) * Self.day, authority.notAfter.milliseconds)
    guard end > now.milliseconds else {
      throw .other(
        "the authority in \(directory) ended at \(authority.notAfter.iso8601); remove ca.pem and ca-key.pem to make a new "
          + "one, which everybody who connects must then be given")
    }
    var report = CertificateReport(
      directory: directory, names: makesServer ? names : [], clients: clients, notAfter: WallTime(milliseconds: end))
    report.add(Paths(directory, "ca"), isNew: isNew)
    let begin = WallTime(milliseconds: now.milliseconds - Self.grace)
    if makesServer {
      let profile = CertificateProfile(
        commonName: names.first { $0.utf8.count <= 64 } ?? "server", names: names, use: .server, notBefore: begin,
        notAfter: report.notAfter)
      try issue(profile, by: authority, to: server)
    }
    report.add(server, isNew: makesServer)
    for client in clients {
      let paths = Paths(directory, "client-\(client)")
      let profile = CertificateProfile(commonName: client, use: .client, notBefore: begin, notAfter: report.notAfter)
      try issue(profile, by: authority, to: paths)
      report.add(paths, isNew: true)
    }
    return report
  }

  private func makeDirectory() throws(Failure) {
    // SAFETY: the path lives for the call.
    guard unsafe mkdir(directory, 0o755) != 0, errno != EEXIST else { return }
    // SAFETY: strerror's text is copied before anyone else could ask for another.
    throw .other("the folder \(directory) cannot be made: \(unsafe String(cString: strerror(errno)))")
  }

  /// The authority that is there, or a new one when there is none at all.
  private func authority(at now: WallTime) throws(Failure) -> (CertificateAuthority, isNew: Bool) {
    let paths = Paths(directory, "ca")
    do {
      if paths.existInPart {
        for path in [paths.certificate, paths.key] where !PEMFile.exists(path) {
          throw Failure.other("\(path) is missing beside its other half; put it back, or remove both to make a new one")
        }
        let (certificate, key) = (try PEMFile.read(paths.certificate), try PEMFile.read(paths.key))
        do throws(CertificateError) {
          return (try CertificateAuthority(certificate: certificate, privateKey: key), false)
        } catch {
          throw Failure.other("\(paths.certificate) and \(paths.key) make no authority: \(error)")
        }
      }
      let authority = try CertificateAuthority(
        commonName: "Lifeline private authority", notBefore: WallTime(milliseconds: now.milliseconds - Self.grace),
        notAfter: WallTime(milliseconds: now.milliseconds + Int64(Self.authorityDays) * Self.day))
      try Self.write(try authority.identity, to: paths)
      return (authority, true)
    } catch let error as Failure {
      throw error
    } catch {
      throw .other("\(error)")
    }
  }

  private func issue(
    _ profile: CertificateProfile, by authority: CertificateAuthority, to paths: Paths
  ) throws(Failure) {
    do { try Self.write(try authority.issue(profile), to: paths) } catch { throw .other("\(error)") }
  }

  /// The key first: a certificate is never there without it.
  private static func write(_ identity: Identity, to paths: Paths) throws(PEMFileError) {
    try PEMFile.write(identity.privateKey, to: paths.key, .secret)
    try PEMFile.write(identity.certificate, to: paths.certificate, .open)
  }
}

/// Where a certificate and its key are.
struct Paths {
  let certificate: String
  let key: String

  init(_ directory: String, _ name: String) {
    certificate = "\(directory)/\(name).pem"
    key = "\(directory)/\(name)-key.pem"
  }

  var existInPart: Bool { PEMFile.exists(certificate) || PEMFile.exists(key) }
}
