import ArgumentParsing
import Authentication
import Coordination
import Reactor

/// What `lifeline coordinator` says about whom it lets in, and how.
enum CoordinatorSecurity {
  private static let keysFile = Option(
    "keys", optional: .string, as: "FILE",
    "Let in only who has a key of this file, which lifeline keys makes; it is read again on SIGHUP.")
  private static let tlsCertificate = Option(
    "tls-certificate", optional: .string, as: "FILE",
    "Speak TLS, and show this certificate with those between it and its authority (PEM); lifeline certs makes one. It is "
      + "read again on SIGHUP.")
  private static let tlsKey = Option(
    "tls-key", optional: .string, as: "FILE", "The certificate's private key (PEM), which nobody else may read.")
  private static let tlsClientCA = Option(
    "tls-client-ca", optional: .string, as: "FILE",
    "Admit only those that show a certificate which this authority has signed (PEM).")
  private static let insecure = Option(
    flag: "insecure", "Listen beyond this machine without TLS or without keys. Whoever reaches it can run commands.")

  static let options: [any DeclaredOption] = [
    KeyOptions.key, KeyOptions.file, keysFile, tlsCertificate, tlsKey, tlsClientCA, insecure,
  ]

  static func isInsecure(_ invocation: Invocation) -> Bool { invocation[insecure] }

  /// Where the keys come from.
  struct Keys {
    /// One key for everything, for the simple case.
    let single: APIKey?
    let file: String?

    /// `nil` when nobody needs a key.
    func read() throws -> KeyRing? {
      guard single != nil || file != nil else { return nil }
      var ring = KeyRing()
      if let file {
        let text = try PrivateFile.read(file)
        do { ring = try KeyRing(text: text) } catch { throw PrivateFile.Problem(description: "\(file), \(error)") }
      }
      if let single { try ring.add(KeyRecord(single, roles: [.admin])) }
      guard !ring.isEmpty else {
        throw PrivateFile.Problem(description: "\(file ?? "") holds no key, so nobody could come in; lifeline keys add")
      }
      return ring
    }
  }

  static func keys(_ invocation: Invocation) throws(UsageError) -> Keys {
    Keys(single: try KeyOptions.key(invocation), file: invocation[keysFile])
  }

  static func tls(_ invocation: Invocation) throws -> TLSServerContext? {
    switch (invocation[tlsCertificate], invocation[tlsKey]) {
    case (let certificate?, let key?):
      var configuration = TLSServerConfiguration(certificateChainFile: certificate, privateKeyFile: key)
      configuration.clientCAFile = invocation[tlsClientCA]
      configuration.applicationProtocols = ["http/1.1"]
      return try TLSServerContext(configuration)
    case (nil, nil):
      guard invocation[tlsClientCA] == nil else {
        throw invocation.error("--tls-client-ca needs --tls-certificate and --tls-key")
      }
      return nil
    case (_?, nil): throw invocation.error("--tls-certificate needs --tls-key as well")
    case (nil, _?): throw invocation.error("--tls-key needs --tls-certificate as well")
    }
  }
}
