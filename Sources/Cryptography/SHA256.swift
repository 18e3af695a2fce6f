import COpenSSL

/// What SHA-256 and HMAC-SHA256 give: 32 bytes. Compared in constant time, so that a forger learns nothing from how long a
/// refusal takes.
public struct SHA256Digest: Equatable, Sendable {
  public static let byteCount = 32

  var storage: InlineArray<32, UInt8>

  /// All zero.
  init() { storage = InlineArray(repeating: 0) }

  /// - Returns: `nil` unless there are 32 bytes.
  ///
  /// Takes an array and no other collection: walking a generic one allocated for each byte.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.init()
    for index in 0..<Self.byteCount { storage[index] = bytes[index] }
  }

  public var bytes: [UInt8] { (0..<Self.byteCount).map { storage[$0] } }

  public subscript(index: Int) -> UInt8 { storage[index] }

  public static func == (left: SHA256Digest, right: SHA256Digest) -> Bool {
    var difference: UInt8 = 0
    for index in 0..<byteCount { difference |= left.storage[index] ^ right.storage[index] }
    return difference == 0
  }
}

/// SHA-256 (FIPS 180-4).
public enum SHA256 {
  public static func digest(of bytes: [UInt8]) -> SHA256Digest {
    var digest = SHA256Digest()
    var target = digest.storage.mutableSpan
    unsafe target.withUnsafeMutableBufferPointer { buffer in
      // SAFETY: SHA256 reads `count` bytes and writes the 32 that the digest holds.
      _ = unsafe COpenSSL.SHA256(bytes, bytes.count, buffer.baseAddress)
    }
    return digest
  }

  public static func digest(of text: String) -> SHA256Digest { digest(of: Array(text.utf8)) }
}

extension SHA256Digest {
  /// A digest as a key of dictionaries. Its comparison takes as long as it takes, so it is for digests that are no secret
  /// to be guessed bit by bit, such as those under a key of one's own.
  public struct Key: Hashable, Sendable {
    private let words: [UInt64]
    fileprivate init(_ digest: SHA256Digest) {
      words = (0..<4).map { word in (0..<8).reduce(0) { $0 << 8 | UInt64(digest[word * 8 + $1]) } }
    }
  }

  public var key: Key { Key(self) }
}
