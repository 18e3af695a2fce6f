import COpenSSL

/// HMAC-SHA256 (RFC 2104) under one key, for many messages: what depends on the key alone is computed once.
///
/// Feed a message in as many parts as it has, then `finish`; the next message may begin then. Belongs to whoever made it:
/// not for two threads at a time.
@safe
public final class HMACSHA256 {
  private let context: OpaquePointer

  public init(key: [UInt8]) {
    // SAFETY: the algorithm is released here, the context in deinit; both outlive the calls that get them. OpenSSL reads
    // `key` during the call only.
    guard let algorithm = unsafe EVP_MAC_fetch(nil, OSSL_MAC_NAME_HMAC, nil),
      let context = unsafe EVP_MAC_CTX_new(algorithm)
    else { preconditionFailure("this OpenSSL has no HMAC") }
    unsafe EVP_MAC_free(algorithm)
    unsafe self.context = context
    // An empty key needs an address all the same: without one OpenSSL keeps the key it has, and it has none yet.
    let material = key.isEmpty ? [0] : key
    let isKeyed = unsafe lifeline_hmac_sha256_init(context, material, key.count) == 1
    precondition(isKeyed, "this OpenSSL has no HMAC-SHA256")
  }

  deinit {
    // SAFETY: made by init, used by nobody any more.
    unsafe EVP_MAC_CTX_free(context)
  }

  /// Adds the first `count` bytes to the message.
  public func update(_ bytes: [UInt8], count: Int) {
    precondition(count <= bytes.count, "more bytes than there are")
    // SAFETY: OpenSSL reads `count` bytes of those that the array lends for the call.
    _ = unsafe EVP_MAC_update(context, bytes, count)
  }

  public func update(_ bytes: [UInt8]) { update(bytes, count: bytes.count) }

  /// Adds a number as eight bytes, the most significant first.
  public func update(_ number: UInt64) {
    var bytes = number.bigEndian
    unsafe withUnsafeBytes(of: &bytes) { buffer in
      // SAFETY: eight bytes of a local variable.
      _ = unsafe EVP_MAC_update(context, buffer.baseAddress, buffer.count)
    }
  }

  /// The message's code; the next `update` begins another message under the same key.
  public func finish() -> SHA256Digest {
    var digest = SHA256Digest()
    var count = 0
    var target = digest.storage.mutableSpan
    unsafe target.withUnsafeMutableBufferPointer { buffer in
      // SAFETY: the 32 bytes that OpenSSL is told of are the digest's; a nil key starts over with the one it has.
      _ = unsafe EVP_MAC_final(context, buffer.baseAddress, &count, buffer.count)
      _ = unsafe EVP_MAC_init(context, nil, 0, nil)
    }
    return digest
  }

  /// The code of one message under a key used once.
  public static func code(of message: [UInt8], key: [UInt8]) -> SHA256Digest {
    let code = HMACSHA256(key: key)
    code.update(message)
    return code.finish()
  }
}

@available(*, unavailable) extension HMACSHA256: Sendable {}
