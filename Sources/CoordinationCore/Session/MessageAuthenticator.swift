import Authentication
import Cryptography

/// Codes on the messages of one connection whose both ends proved to have the same key: HMAC-SHA256 over the direction (by
/// a key of its own), the connection (both ends' nonces went into the keys), the message's number on this connection, its
/// length and its bytes.
///
/// The number is counted, not sent: TCP delivers in order, so whatever was altered, left out, repeated, or taken from
/// elsewhere has a wrong code. A session's own numbers lie inside the bytes and are covered with them.
final class MessageAuthenticator {
  enum Role { case coordinator, worker }

  /// Base64 without padding.
  static let codeLength = 43

  private let outbound: HMACSHA256
  private let inbound: HMACSHA256
  private var sent: UInt64 = 0
  private var received: UInt64 = 0

  /// - Parameter subject: sets messages apart that are numbered by themselves.
  init(_ secret: ChannelSecret, _ role: Role, about subject: String = "") {
    let fromWorker = HMACSHA256(
      key: HKDF.key(from: secret.bytes, salt: [], info: "lifeline.v1 worker to coordinator\(subject)"))
    let fromCoordinator = HMACSHA256(
      key: HKDF.key(from: secret.bytes, salt: [], info: "lifeline.v1 coordinator to worker\(subject)"))
    outbound = role == .worker ? fromWorker : fromCoordinator
    inbound = role == .worker ? fromCoordinator : fromWorker
  }

  /// The code of the next message to send, of which these are the bytes before it.
  func sign(_ bytes: [UInt8]) -> SHA256Digest {
    sent += 1
    return Self.code(outbound, sent, bytes, bytes.count)
  }

  /// Whether `code` is that of the next message to come, of which the first `count` bytes are covered.
  func verify(_ bytes: [UInt8], count: Int, _ code: SHA256Digest) -> Bool {
    received += 1
    return Self.code(inbound, received, bytes, count) == code
  }

  private static func code(_ hash: HMACSHA256, _ number: UInt64, _ bytes: [UInt8], _ count: Int) -> SHA256Digest {
    hash.update(number)
    hash.update(UInt64(count))
    hash.update(bytes, count: count)
    return hash.finish()
  }
}
