public import Primitives

/// A private authority: whoever is given its certificate believes the certificates that it issues.
///
/// For one's own fleet and for tests; there is no revocation. Belongs to whoever made it: not for two threads at a time.
public final class CertificateAuthority {
  private let own: Certificate
  private let key: PrivateKey

  /// Makes a new one, with a key of its own.
  public init(commonName: String, notBefore: WallTime, notAfter: WallTime) throws(CertificateError) {
    key = try PrivateKey.generate()
    let profile = CertificateProfile(
      commonName: commonName, use: .authority, notBefore: notBefore, notAfter: notAfter)
    own = try Certificate.signed(profile, for: key, by: nil)
  }

  /// Takes up one that was kept.
  public init(certificate: String, privateKey: String) throws(CertificateError) {
    own = try Certificate(pem: certificate)
    key = try PrivateKey(pem: privateKey)
    guard own.fits(key) else { throw .keyDoesNotFit }
    guard own.isAuthority else { throw .notAnAuthority }
  }

  /// What clients and servers must be given, and what must be kept secret.
  public var identity: Identity {
    get throws(CertificateError) { Identity(certificate: try own.pem, privateKey: try key.pem) }
  }

  /// The last second of its validity; what it has issued is not believed afterwards either.
  public var notAfter: WallTime { own.notAfter }

  /// Issues a certificate with a new key.
  public func issue(_ profile: CertificateProfile) throws(CertificateError) -> Identity {
    let subjectKey = try PrivateKey.generate()
    let certificate = try Certificate.signed(profile, for: subjectKey, by: (own, key))
    return Identity(certificate: try certificate.pem, privateKey: try subjectKey.pem)
  }
}

@available(*, unavailable) extension CertificateAuthority: Sendable {}
