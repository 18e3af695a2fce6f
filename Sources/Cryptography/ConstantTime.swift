import COpenSSL

/// Comparison that takes as long for a wrong secret as for the right one.
public enum ConstantTime {
  /// Whether both are the same. How long this takes tells the lengths, which are no secret, and nothing else.
  public static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    // SAFETY: both have `count` bytes, which are only read.
    return unsafe CRYPTO_memcmp(left, right, left.count) == 0
  }
}
