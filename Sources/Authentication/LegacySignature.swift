import Cryptography
import Primitives

/// The reference's way to sign an upgrade: `X-API-Key`, `X-Timestamp`, `X-Nonce` and `X-Signature`, which is base64 of
/// HMAC-SHA256 over `key:timestamp:nonce` under the base64 text of the key's SHA-256.
struct LegacySignature {
  static let fieldNames = ["X-Timestamp", "X-Nonce", "X-Signature"]

  /// The key itself, which the reference sends along.
  let key: String
  private let timestamp: String
  let nonce: String
  private let signature: [UInt8]

  init?(_ field: (String) -> String?) {
    guard let key = field("X-API-Key"), let timestamp = field("X-Timestamp"), let nonce = field("X-Nonce"),
      (1...256).contains(nonce.utf8.count), let signature = field("X-Signature").flatMap(Base64.decode)
    else { return nil }
    self.key = key
    self.timestamp = timestamp
    self.nonce = nonce
    self.signature = signature
  }

  /// What the reference signs with, its messages too: the base64 text of the key's SHA-256. It follows from the key that
  /// came with the request, so nobody has to keep it.
  var digest: String { Base64.encode(SHA256.digest(of: key).bytes) }

  var isMadeWithItsKey: Bool {
    let code = HMACSHA256.code(of: Array("\(key):\(timestamp):\(nonce)".utf8), key: Array(digest.utf8))
    return ConstantTime.areEqual(code.bytes, signature)
  }

  /// What its time may be, in milliseconds since 1970: seconds with or without a fraction, or ISO 8601, which the reference
  /// writes in local time without saying so.
  func milliseconds(secondsEast: Int32) -> [Int64] {
    if let seconds = Double(timestamp) {
      // NaN and infinity are no time either.
      return seconds >= 0 && seconds < 1e12 ? [Int64(seconds * 1_000)] : []
    }
    guard let utc = WallTime(iso8601: timestamp), let local = WallTime(iso8601: timestamp, secondsEast: secondsEast)
    else { return [] }
    return utc == local ? [utc.milliseconds] : [utc.milliseconds, local.milliseconds]
  }
}
