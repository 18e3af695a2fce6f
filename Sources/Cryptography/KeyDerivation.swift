import COpenSSL

/// HKDF with SHA-256 (RFC 5869): keys for different purposes from one secret that is hard to guess already.
public enum HKDF {
  /// - Parameter count: from 1 to 8,160 bytes (RFC 5869 §2.3).
  public static func key(from secret: [UInt8], salt: [UInt8], info: String, count: Int = 32) -> [UInt8] {
    precondition((1...255 * 32).contains(count), "HKDF-SHA256 gives 1 to 8,160 bytes")
    let extracted = HMACSHA256.code(of: secret, key: salt.isEmpty ? [UInt8](repeating: 0, count: 32) : salt)
    let expansion = HMACSHA256(key: extracted.bytes)
    var key: [UInt8] = []
    var block: [UInt8] = []
    var number: UInt8 = 1
    while key.count < count {
      expansion.update(block)
      expansion.update(Array(info.utf8))
      expansion.update([number])
      block = expansion.finish().bytes
      key += block
      number &+= 1
    }
    return Array(key.prefix(count))
  }
}

/// PBKDF2 with HMAC-SHA256 (RFC 8018 §5.2): makes guessing a secret from what is stored of it slow.
public enum PBKDF2 {
  public static func key(from password: [UInt8], salt: [UInt8], iterations: Int, count: Int = 32) -> [UInt8] {
    var key = [UInt8](repeating: 0, count: count)
    // SAFETY: OpenSSL takes the password's bytes as C characters, reads as many as it is told, and writes `count` bytes.
    let isDone = unsafe password.withUnsafeBufferPointer { password in
      unsafe password.withMemoryRebound(to: CChar.self) { characters in
        unsafe PKCS5_PBKDF2_HMAC(
          characters.baseAddress, Int32(clamping: characters.count), salt, Int32(clamping: salt.count),
          Int32(clamping: max(1, iterations)), EVP_sha256(), Int32(clamping: count), &key)
      }
    }
    precondition(isDone == 1, "this OpenSSL has no PBKDF2 with SHA-256")
    return key
  }
}
