import Cryptography
import Primitives

/// What a coordinator keeps of a key: enough to recognise it, and not enough to use it.
public struct KeyRecord: Equatable, Sendable {
  public let name: String
  public let roles: Set<Role>
  let salt: [UInt8]
  /// SHA-256 of the key's proof key (RFC 5802 §3, StoredKey).
  let storedKey: SHA256Digest
  /// The reference's workers sign with the key's digest, so whoever is to understand them must have it. It is as good as
  /// the key towards those who speak the reference's protocol, and is kept for such keys only.
  let legacyDigest: String?

  public init(_ key: APIKey, roles: Set<Role>, servesLegacyWorkers: Bool = false) {
    name = key.name
    self.roles = roles
    salt = key.salt
    storedKey = SHA256.digest(of: key.proofKey)
    legacyDigest = servesLegacyWorkers ? Self.legacyDigest(of: key.text) : nil
  }

  init(name: String, roles: Set<Role>, salt: [UInt8], storedKey: SHA256Digest, legacyDigest: String?) {
    self.name = name
    self.roles = roles
    self.salt = salt
    self.storedKey = storedKey
    self.legacyDigest = legacyDigest
  }

  public var servesLegacyWorkers: Bool { legacyDigest != nil }

  /// Tells two keys of one name apart, and says nothing about either.
  public var fingerprint: String {
    storedKey.bytes.prefix(4).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// What the reference signs with: the base64 text of the key's SHA-256.
  static func legacyDigest(of text: String) -> String { Base64.encode(SHA256.digest(of: text).bytes) }

  func recognises(proofKey: [UInt8]) -> Bool { SHA256.digest(of: proofKey) == storedKey }
}
