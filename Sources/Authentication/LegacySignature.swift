import Cryptography
import Primitives

/// The reference's way to sign an upgrade: `X-API-Key`, `X-Timestamp`, `X-Nonce` and `X-Signature`, which is base64 of
/// HMAC-SHA256 over `key:timestamp:nonce` under the base64 text of the key's SHA-256.
struct LegacySignature {
  private let key: String
  private let timestamp: String
  let nonce: String
  private let signature: [UInt8]

  init?(_ field: (String) -> String?) {
    guard let key = field("X-API-Key"), let timestamp = field("X-Timestamp"), let nonce = field("X-Nonce"),
      let signature = field("X-Signature").flatMap(Base64.decode)
    else { return nil }
    self.key = key
    self.timestamp = timestamp
    self.nonce = nonce
    self.signature = signature
  }

  func isMade(with digest: String) -> Bool {
    let code = HMACSHA256.code(of: Array("\(key):\(timestamp):\(nonce)".utf8), key: Array(digest.utf8))
    // The key itself travels as well; it must be the one that the digest is of.
    return ConstantTime.areEqual(code.bytes, signature)
      && ConstantTime.areEqual(Array(KeyRecord.legacyDigest(of: key).utf8), Array(digest.utf8))
  }

  /// Seconds since 1970, with or without a fraction, as milliseconds.
  var milliseconds: Int64? {
    guard let seconds = Double(timestamp), seconds.magnitude < 1e12 else { return nil }
    return Int64(seconds * 1_000)
  }
}
