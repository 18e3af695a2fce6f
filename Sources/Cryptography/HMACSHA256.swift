import COpenSSL

/// HMAC-SHA256 (RFC 2104) under one key, for many messages: what depends on the key alone is computed once.
///
/// Feed a message in as many parts as it has, then `finish`; the next message may begin then. Belongs to whoever made it:
/// not for two threads at a time. The hash is OpenSSL's; its own HMAC allocates some twenty times for each message, which
/// cost a signed session a third of its rate.
public final class HMACSHA256 {
  private static let blockBytes = 64

  /// After the key's block, for the message and for its digest (RFC 2104 §4).
  private let innerStart: SHA256_CTX
  private let outerStart: SHA256_CTX
  private var current: SHA256_CTX

  public init(key: [UInt8]) {
    var block = key.count > Self.blockBytes ? SHA256.digest(of: key).bytes : key
    block += [UInt8](repeating: 0, count: Self.blockBytes - block.count)
    innerStart = Self.state(after: block.map { $0 ^ 0x36 })
    outerStart = Self.state(after: block.map { $0 ^ 0x5C })
    current = innerStart
  }

  private static func state(after block: [UInt8]) -> SHA256_CTX {
    var state = SHA256_CTX()
    // SAFETY: OpenSSL initializes and changes the local it is given, and reads `count` bytes of the array.
    _ = unsafe SHA256_Init(&state)
    _ = unsafe SHA256_Update(&state, block, block.count)
    return state
  }

  /// Adds the first `count` bytes to the message.
  public func update(_ bytes: [UInt8], count: Int) {
    precondition(count <= bytes.count, "more bytes than there are")
    // SAFETY: OpenSSL reads `count` bytes of those that the array lends for the call.
    _ = unsafe SHA256_Update(&current, bytes, count)
  }

  public func update(_ bytes: [UInt8]) { update(bytes, count: bytes.count) }

  /// Adds a number as eight bytes, the most significant first.
  public func update(_ number: UInt64) {
    var bytes = number.bigEndian
    unsafe withUnsafeBytes(of: &bytes) { buffer in
      // SAFETY: eight bytes of a local variable.
      _ = unsafe SHA256_Update(&current, buffer.baseAddress, buffer.count)
    }
  }

  /// The message's code; the next `update` begins another message under the same key.
  public func finish() -> SHA256Digest {
    var digest = SHA256Digest()
    var outer = outerStart
    var target = digest.storage.mutableSpan
    unsafe target.withUnsafeMutableBufferPointer { buffer in
      // SAFETY: the digest has the 32 bytes that SHA256_Final writes and that are read after it.
      _ = unsafe SHA256_Final(buffer.baseAddress, &current)
      _ = unsafe SHA256_Update(&outer, buffer.baseAddress, buffer.count)
      _ = unsafe SHA256_Final(buffer.baseAddress, &outer)
    }
    current = innerStart
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
