import COpenSSL

/// SHA-256 of what comes in parts. A value: a copy goes on by itself.
public struct SHA256Stream {
  private var state = SHA256_CTX()

  public init() {
    // SAFETY: OpenSSL initializes the state that it is given for the call.
    _ = unsafe SHA256_Init(&state)
  }

  public mutating func update(_ bytes: [UInt8]) {
    // SAFETY: OpenSSL reads `count` bytes of those that the array lends for the call.
    _ = unsafe SHA256_Update(&state, bytes, bytes.count)
  }

  /// The digest of what came so far.
  public var digest: SHA256Digest {
    var state = state
    var digest = SHA256Digest()
    var target = digest.storage.mutableSpan
    unsafe target.withUnsafeMutableBufferPointer { buffer in
      // SAFETY: the digest has the 32 bytes that SHA256_Final writes.
      _ = unsafe SHA256_Final(buffer.baseAddress, &state)
    }
    return digest
  }
}
