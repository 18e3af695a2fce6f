import Cryptography

/// What a coordinator keeps of a key: enough to recognise it, and not enough to use it.
public struct KeyRecord: Equatable, Sendable {
  public let name: String
  public let roles: Set<Role>
  let salt: [UInt8]
  /// SHA-256 of the key's proof key (RFC 5802 §3, StoredKey).
  let storedKey: SHA256Digest

  public init(_ key: APIKey, roles: Set<Role>) {
    name = key.name
    self.roles = roles
    salt = key.salt
    storedKey = SHA256.digest(of: key.proofKey)
  }

  init(name: String, roles: Set<Role>, salt: [UInt8], storedKey: SHA256Digest) {
    self.name = name
    self.roles = roles
    self.salt = salt
    self.storedKey = storedKey
  }

  /// Tells two keys of one name apart, and says nothing about either.
  public var fingerprint: String {
    storedKey.bytes.prefix(4).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  func recognises(proofKey: [UInt8]) -> Bool { SHA256.digest(of: proofKey) == storedKey }
}
