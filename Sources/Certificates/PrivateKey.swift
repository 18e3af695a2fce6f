import COpenSSL

/// An EC P-256 key, or whatever key was read from PEM.
@safe
final class PrivateKey {
  let pointer: OpaquePointer

  private init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

  deinit {
    // SAFETY: made or read here, and used by nobody any more.
    unsafe EVP_PKEY_free(pointer)
  }

  /// A new P-256 key: small and fast for both ends, and spoken by everybody (RFC 8422 §5.1.1).
  static func generate() throws(CertificateError) -> PrivateKey {
    // SAFETY: the context is freed on every way out; the key that it gives is ours.
    guard let context = unsafe EVP_PKEY_CTX_new_from_name(nil, "EC", nil) else { throw .last("EVP_PKEY_CTX_new") }
    defer { unsafe EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard unsafe EVP_PKEY_keygen_init(context) == 1, unsafe EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
      unsafe EVP_PKEY_generate(context, &key) == 1, let key = unsafe key
    else { throw .last("EVP_PKEY_generate") }
    return unsafe PrivateKey(key)
  }

  init(pem: String) throws(CertificateError) {
    let bio = try MemoryBIO(pem)
    // SAFETY: the BIO is alive for the call. The password callback gives none, where OpenSSL's own would ask at the
    // terminal.
    let key = unsafe PEM_read_bio_PrivateKey(bio.pointer, nil, { _, _, _, _ in -1 }, nil)
    guard let key = unsafe key else {
      ERR_clear_error()
      throw .noPrivateKey
    }
    unsafe pointer = key
  }

  var pem: String {
    get throws(CertificateError) {
      let bio = try MemoryBIO()
      // SAFETY: both are alive for the call; without a cipher there is no passphrase.
      guard unsafe PEM_write_bio_PrivateKey(bio.pointer, pointer, nil, nil, 0, nil, nil) == 1 else {
        throw .last("PEM_write_bio_PrivateKey")
      }
      return bio.text
    }
  }
}
