import COpenSSL

/// The calling thread's queue of OpenSSL's errors.
enum OpenSSLErrors {
  /// What others left in the queue would be taken for the next call's. It is nearly always empty, and looking is cheap.
  static func clear() { if ERR_peek_error() != 0 { ERR_clear_error() } }

  /// The oldest, whose cause the others followed; the queue is empty afterwards.
  static func take() -> UInt {
    let code = ERR_get_error()
    ERR_clear_error()
    return code
  }

  static func text(of code: UInt) -> String {
    // SAFETY: a constant string, or none.
    guard code != 0, let reason = unsafe ERR_reason_error_string(code) else { return "unknown error" }
    return unsafe String(cString: reason)
  }

  static func takeText() -> String { text(of: take()) }
}

extension TLSFailure {
  /// What OpenSSL's error on a session means.
  ///
  /// - Parameters:
  ///   - verification: what became of the peer's certificate, an `X509_V_` code.
  ///   - name: whom the certificate had to be for, and whom it is for.
  init(openSSL code: UInt, verification: Int, name: () -> (expected: String, found: [String])) {
    guard lifeline_err_library(code) == ERR_LIB_SSL else {
      self = .other(OpenSSLErrors.text(of: code))
      return
    }
    switch lifeline_err_reason(code) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: self = Self.verification(verification, name)
    case SSL_R_HTTP_REQUEST: self = .plainHTTP
    case SSL_R_WRONG_VERSION_NUMBER, SSL_R_UNKNOWN_PROTOCOL, SSL_R_PACKET_LENGTH_TOO_LONG,
      SSL_R_BAD_PROTOCOL_VERSION_NUMBER,
      SSL_R_RECORD_LENGTH_MISMATCH:
      self = .notTLS
    case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH,
      SSL_R_INAPPROPRIATE_FALLBACK:
      self = .protocolVersion
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      self = .clientCertificateMissing
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: self = .truncated
    case let reason where reason > 1000:
      // Alerts are a thousand above their numbers on the wire (RFC 8446 §6.2).
      self = .refusedByPeer(OpenSSLErrors.text(of: code))
    default: self = .other(OpenSSLErrors.text(of: code))
    }
  }

  private static func verification(_ code: Int, _ name: () -> (expected: String, found: [String])) -> TLSFailure {
    switch Int32(truncatingIfNeeded: code) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return .certificateExpired
    case X509_V_ERR_CERT_NOT_YET_VALID: return .certificateNotYetValid
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      let (expected, found) = name()
      return .wrongHost(expected: expected, names: found)
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED, X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return .unknownAuthority
    default:
      // SAFETY: a constant string for every code.
      guard let text = unsafe X509_verify_cert_error_string(code) else { return .certificateRefused("code \(code)") }
      return unsafe .certificateRefused(String(cString: text))
    }
  }
}
