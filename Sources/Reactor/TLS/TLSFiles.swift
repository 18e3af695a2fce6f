import COpenSSL
import Glibc

/// What contexts of both roles load from files.
enum TLSFiles {
  /// Loads a certificate with those between it and the root, and the key that fits it.
  static func loadIdentity(
    chain: String, key: String, into context: OpaquePointer
  ) throws(TLSConfigurationError) {
    try checkReadable(chain, "certificate")
    OpenSSLErrors.clear()
    // SAFETY: the context is alive; OpenSSL reads the paths during the calls.
    guard unsafe SSL_CTX_use_certificate_chain_file(context, chain) == 1 else {
      throw TLSConfigurationError("\(chain) holds no PEM certificate: \(OpenSSLErrors.takeText())")
    }
    try checkReadable(key, "private key")
    try checkPrivate(key)
    guard unsafe SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 else {
      let code = OpenSSLErrors.take()
      // The certificate is loaded, so a key that belongs to another one is noticed here already.
      if lifeline_err_library(code) == ERR_LIB_X509 {
        throw TLSConfigurationError("the private key \(key) does not belong to the certificate \(chain)")
      }
      throw TLSConfigurationError(
        "\(key) holds no PEM private key without a passphrase: \(OpenSSLErrors.text(of: code))")
    }
    guard unsafe SSL_CTX_check_private_key(context) == 1 else {
      OpenSSLErrors.clear()
      throw TLSConfigurationError("the private key \(key) does not belong to the certificate \(chain)")
    }
  }

  /// Loads the authorities whose word is believed.
  static func loadAuthorities(_ file: String, into context: OpaquePointer) throws(TLSConfigurationError) {
    try checkReadable(file, "authorities' (CA)")
    OpenSSLErrors.clear()
    // SAFETY: as above.
    guard unsafe SSL_CTX_load_verify_file(context, file) == 1 else {
      throw TLSConfigurationError("\(file) holds no PEM certificate of an authority: \(OpenSSLErrors.takeText())")
    }
  }

  /// The list in the form of RFC 7301 §3.1; names that are too long for it are left out.
  static func wireForm(_ protocols: [String]) -> [UInt8] {
    protocols.flatMap { name -> [UInt8] in
      (1...255).contains(name.utf8.count) ? [UInt8(truncatingIfNeeded: name.utf8.count)] + Array(name.utf8) : []
    }
  }

  private static func checkReadable(_ path: String, _ what: String) throws(TLSConfigurationError) {
    // SAFETY: the path lives for the call.
    guard unsafe access(path, R_OK) == 0 else {
      throw TLSConfigurationError("the \(what) file \(path) cannot be read: \(SystemError.message(of: errno))")
    }
  }

  /// Whoever reads the key can pretend to be its owner. Its group may where root owns it, as packages install it.
  private static func checkPrivate(_ path: String) throws(TLSConfigurationError) {
    var status = stat()
    // SAFETY: stat fills the local it is given.
    guard unsafe stat(path, &status) == 0 else {
      throw TLSConfigurationError("the private key file \(path) cannot be read: \(SystemError.message(of: errno))")
    }
    let forbidden: mode_t = status.st_uid == 0 ? 0o037 : 0o077
    guard status.st_mode & forbidden == 0 else {
      throw TLSConfigurationError("others may read the private key file \(path); do: chmod 600 \(path)")
    }
  }
}
