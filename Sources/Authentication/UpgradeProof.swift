import Cryptography
public import Primitives

/// What both ends of a connection know after an upgrade that was proved, and nobody else: the key of its messages' codes.
public struct ChannelSecret: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
  public let bytes: [UInt8]

  /// - Parameters:
  ///   - proofKey: the API key's, which a coordinator learns from the proof.
  ///   - client: the nonce of the request; makes a recorded coordinator's words worthless.
  ///   - server: the nonce of the answer; makes a recorded worker's words worthless.
  public init(proofKey: [UInt8], client: String, server: String) {
    bytes = HKDF.key(from: proofKey, salt: Array("\(client) \(server)".utf8), info: "lifeline.v1 channel")
  }

  /// What a coordinator answers with: only who recovered the proof key from this very request, and so had its stored key,
  /// can know it.
  public var answer: String {
    Base64.encodeURL(HMACSHA256.code(of: Array("lifeline coordinator 1".utf8), key: bytes).bytes)
  }

  public func isAnswered(by text: String) -> Bool { ConstantTime.areEqual(Array(answer.utf8), Array(text.utf8)) }

  public var description: String { "channel secret" }
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// The request for an upgrade, proved to come from somebody who has a key (RFC 5802 §3, in one message).
///
///     proof = ProofKey XOR HMAC(StoredKey, request)          sent
///     ProofKey = proof XOR HMAC(StoredKey, request)          recovered by whoever has StoredKey …
///     SHA-256(ProofKey) == StoredKey                         … and found to be right
///
/// The key itself never travels, a coordinator keeps nothing that could be used in its place, and recognising it takes
/// microseconds, so a herd of thousands does not wait. What SCRAM's challenge does is done by a nonce that counts once
/// and a time that must be near.
public struct UpgradeProof: Equatable, Sendable {
  public static let keyField = "X-Lifeline-Key"
  public static let timeField = "X-Lifeline-Timestamp"
  public static let nonceField = "X-Lifeline-Nonce"
  /// In the request the client's proof, in the answer the coordinator's.
  public static let proofField = "X-Lifeline-Proof"

  public let name: String
  /// Milliseconds since 1970.
  public let time: Int64
  /// Base64 of 16 to 64 random bytes.
  public let nonce: String
  let proof: [UInt8]

  /// A client's.
  public init(_ key: APIKey, target: String, subprotocol: String, time: WallTime, nonce: [UInt8]) {
    name = key.name
    self.time = time.milliseconds
    self.nonce = Base64.encodeURL(nonce)
    let request = Self.request(name: name, target: target, subprotocol: subprotocol, time: self.time, nonce: self.nonce)
    let stored = SHA256.digest(of: key.proofKey).bytes
    proof = Self.xor(key.proofKey, HMACSHA256.code(of: request, key: stored).bytes)
  }

  /// Reads what a client sent; `nil` unless all of it is there and well-formed.
  public init?(_ field: (String) -> String?) {
    guard let name = field(Self.keyField), APIKey.isName(name), let timeText = field(Self.timeField),
      let time = Int64(timeText), let nonce = field(Self.nonceField),
      let nonceBytes = Base64.decodeURL(nonce), (16...64).contains(nonceBytes.count),
      let proof = field(Self.proofField).flatMap(Base64.decodeURL), proof.count == 32
    else { return nil }
    self.name = name
    self.time = time
    self.nonce = nonce
    self.proof = proof
  }

  /// The header fields to send.
  public var fields: [(name: String, value: String)] {
    [
      (Self.keyField, name), (Self.timeField, String(time)), (Self.nonceField, nonce),
      (Self.proofField, Base64.encodeURL(proof)),
    ]
  }

  /// - Returns: the proof key, if the one who proved it has the record's key.
  func proofKey(of record: KeyRecord, target: String, subprotocol: String) -> [UInt8]? {
    let request = Self.request(name: name, target: target, subprotocol: subprotocol, time: time, nonce: nonce)
    let candidate = Self.xor(proof, HMACSHA256.code(of: request, key: record.storedKey.bytes).bytes)
    return record.recognises(proofKey: candidate) ? candidate : nil
  }

  /// Everything that must not be changed on the way. None of the parts has a line's end in it.
  private static func request(
    name: String, target: String, subprotocol: String, time: Int64, nonce: String
  ) -> [UInt8] {
    Array("lifeline upgrade 1\nGET\n\(target)\n\(subprotocol)\n\(name)\n\(time)\n\(nonce)".utf8)
  }

  private static func xor(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
    zip(left, right).map { $0 ^ $1 }
  }
}
