import COpenSSL

/// Why a certificate or a key could not be made, read or kept.
public enum CertificateError: Error, Equatable, Sendable {
  /// A name that no certificate can carry, or that is no name of a host.
  case badName(String, why: String)
  /// The validity ends before it begins.
  case emptyValidity
  /// The text holds no PEM certificate, or none that OpenSSL can read.
  case noCertificate
  /// The text holds no PEM private key without a passphrase.
  case noPrivateKey
  case keyDoesNotFit
  /// The certificate is not one of an authority, so nobody would believe what it signs.
  case notAnAuthority
  case openSSL(call: String, reason: String)
}

extension CertificateError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .badName(let name, let why): "\(name) cannot stand in a certificate: \(why)"
    case .emptyValidity: "a certificate must end after it begins"
    case .noCertificate: "there is no PEM certificate in it"
    case .noPrivateKey: "there is no PEM private key without a passphrase in it"
    case .keyDoesNotFit: "the private key does not belong to the certificate"
    case .notAnAuthority: "the certificate is not an authority's (CA:TRUE is missing)"
    case .openSSL(let call, let reason): "OpenSSL's \(call) failed: \(reason)"
    }
  }

  /// The oldest error of this thread's queue, which is emptied.
  static func last(_ call: String) -> CertificateError {
    let code = ERR_get_error()
    ERR_clear_error()
    // SAFETY: a constant string, or none.
    guard code != 0, let reason = unsafe ERR_reason_error_string(code) else {
      return .openSSL(call: call, reason: "unknown error")
    }
    return unsafe .openSSL(call: call, reason: String(cString: reason))
  }
}
