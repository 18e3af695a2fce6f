import Cryptography
public import Primitives

/// What a request for an upgrade, or for a page, brings along.
public struct Credentials {
  public let target: String
  /// What the client offers, as it wrote them, joined by ", ".
  public let subprotocols: String
  /// Without the port; for IPv6 the network of 64 bits, because everybody has that many.
  public let address: String
  public let field: (String) -> String?

  public init(target: String, subprotocols: String, address: String, field: @escaping (String) -> String?) {
    self.target = target
    self.subprotocols = subprotocols
    self.address = address
    self.field = field
  }
}

/// Who somebody has proved to be.
public struct Identity: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
  public let name: String
  public let roles: Set<Role>
  let record: KeyRecord
  /// For signing what follows; `nil` for those who sent the key as it is, or signed as the reference does.
  public let proofKey: [UInt8]?
  /// The client's nonce.
  public let nonce: String?
  /// With what the reference's workers sign their messages; `nil` when this one does not sign.
  public let legacyDigest: String?

  public func may(_ access: Access) -> Bool { access.isGranted(to: roles) }

  public var description: String { "the holder of key \(name)" }
  public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

/// Why somebody is turned away: the status and the words for him, and those for our log.
public struct Refusal: Error, Equatable, Sendable {
  /// 401, 403, 429 or 503.
  public let status: Int
  /// Says nothing of which keys there are.
  public let message: String
  public let cause: String
  public let retryAfter: Duration?
  /// Whether it costs the address one of its tries: something was shown, and it was wrong.
  let isFailedTry: Bool

  init(_ status: Int, _ message: String, cause: String, retryAfter: Duration? = nil, isFailedTry: Bool = false) {
    self.isFailedTry = isFailedTry
    self.status = status
    self.message = message
    self.cause = cause
    self.retryAfter = retryAfter
  }

  public static func forbidden(_ identity: Identity, _ what: String) -> Refusal {
    let roles = identity.roles.map(\.rawValue).sorted().joined(separator: ", ")
    return Refusal(403, "this key may not \(what)", cause: "key \(identity.name) (\(roles)) may not \(what)")
  }
}

/// Judges who may come in. A value: the time comes with each question.
public struct Authenticator {
  private var recordsOfName: [String: [KeyRecord]]
  private var nonces: NonceCache
  private var tries = FailedTries()
  /// Stands for a key that is not there, so that asking for one takes as long.
  private let decoy: KeyRecord
  /// Keys that were sent as they are and found to be good, under a digest that only this process can make: the next time
  /// takes no thousands of rounds.
  private var known: [SHA256Digest.Key: KeyRecord] = [:]
  private let pepper: [UInt8]
  private static let maxKnown = 4_096

  /// - Parameters:
  ///   - window: how far a request's time may be from ours.
  ///   - pepper: 32 random bytes.
  public init(
    _ ring: KeyRing, window: Duration = .seconds(300), maxNonces: Int = 1_000_000, pepper: [UInt8]
  ) {
    recordsOfName = Dictionary(grouping: ring.records, by: \.name)
    self.pepper = pepper
    decoy = KeyRecord(
      name: "", roles: [], salt: [], storedKey: HMACSHA256.code(of: Array("decoy".utf8), key: pepper))
    nonces = NonceCache(window: window.wholeMilliseconds, capacity: maxNonces)
  }

  /// Takes other keys from now on; nonces and failed tries are remembered.
  public mutating func replace(ring: KeyRing) {
    recordsOfName = Dictionary(grouping: ring.records, by: \.name)
    known = [:]
  }

  /// Whether the key that somebody came in with is still there.
  public func stillKnows(_ identity: Identity) -> Bool {
    recordsOfName[identity.name]?.contains(identity.record) ?? false
  }

  /// - Parameter secondsEast: of Greenwich, for times that the reference's workers write in local time.
  public mutating func judge(
    _ credentials: Credentials, at now: Instant, wall: WallTime, secondsEast: Int32 = 0
  ) -> Result<Identity, Refusal> {
    if let wait = tries.wait(of: credentials.address, at: now) {
      return .failure(
        Refusal(
          429, "too many failed attempts from this address; wait before the next one",
          cause: "too many failed attempts", retryAfter: wait))
    }
    let result = identify(credentials, wall, secondsEast)
    // Whoever merely has a wrong clock, came when we were full, or showed nothing at all, has not guessed at a key.
    if case .failure(let refusal) = result, refusal.isFailedTry { tries.failed(credentials.address, at: now) }
    return result
  }

  private static func unknown(_ cause: String) -> Result<Identity, Refusal> {
    .failure(
      Refusal(
        401, "an API key is needed; this one, or its signature, is not accepted", cause: cause, isFailedTry: true))
  }

  private mutating func identify(
    _ credentials: Credentials, _ wall: WallTime, _ secondsEast: Int32
  ) -> Result<Identity, Refusal> {
    if credentials.field(UpgradeProof.proofField) != nil || credentials.field(UpgradeProof.keyField) != nil {
      guard let proof = UpgradeProof(credentials.field) else {
        return Self.unknown("malformed proof")
      }
      return proved(proof, credentials, wall)
    }
    // One that was cut or lost a field must not pass for a key that was sent without a signature.
    if LegacySignature.fieldNames.contains(where: { credentials.field($0) != nil }) {
      guard let signature = LegacySignature(credentials.field) else {
        return Self.unknown("malformed signature of the original's form")
      }
      return signed(signature, wall, secondsEast)
    }
    let bearer = credentials.field("Authorization").flatMap(Self.bearer)
    guard let text = bearer ?? credentials.field("X-API-Key") else {
      return .failure(Refusal(401, "an API key is needed", cause: "no key was given"))
    }
    return borne(text)
  }

  private mutating func proved(
    _ proof: UpgradeProof, _ credentials: Credentials, _ wall: WallTime
  ) -> Result<Identity, Refusal> {
    let candidates = recordsOfName[proof.name] ?? []
    for record in candidates.isEmpty ? [decoy] : candidates {
      guard
        let key = proof.proofKey(of: record, target: credentials.target, subprotocol: credentials.subprotocols)
      else { continue }
      // Only now: somebody without a key must neither fill the cache nor learn our time.
      if let refusal = outside([proof.time], wall) ?? replayed(proof.nonce, wall) { return .failure(refusal) }
      return .success(
        Identity(
          name: record.name, roles: record.roles, record: record, proofKey: key, nonce: proof.nonce, legacyDigest: nil))
    }
    return Self.unknown("\(candidates.isEmpty ? "unknown" : "wrong") key \(proof.name)")
  }

  private mutating func signed(
    _ signature: LegacySignature, _ wall: WallTime, _ secondsEast: Int32
  ) -> Result<Identity, Refusal> {
    guard signature.isMadeWithItsKey else { return Self.unknown("wrong signature of the original's form") }
    guard let record = record(ofKey: signature.key) else { return Self.unknown("wrong or unknown key") }
    let times = signature.milliseconds(secondsEast: secondsEast)
    guard !times.isEmpty else { return Self.unknown("the signature's time cannot be read") }
    if let refusal = outside(times, wall) ?? replayed(signature.nonce, wall) { return .failure(refusal) }
    return .success(
      Identity(
        name: record.name, roles: record.roles, record: record, proofKey: nil, nonce: nil,
        legacyDigest: signature.digest))
  }

  private mutating func borne(_ text: String) -> Result<Identity, Refusal> {
    guard let record = record(ofKey: text) else { return Self.unknown("wrong or unknown key") }
    return .success(Self.identity(record))
  }

  /// The record of a key that was sent as it is.
  private mutating func record(ofKey text: String) -> KeyRecord? {
    let digest = HMACSHA256.code(of: Array(text.utf8), key: pepper).key
    if let record = known[digest] { return record }
    // One name, few records: nobody can make us work through all keys.
    let name = APIKey.nameOf(text)?.name ?? APIKey.defaultName
    guard let candidates = recordsOfName[name], let key = try? APIKey(text),
      let record = candidates.first(where: { $0.recognises(proofKey: key.proofKey) })
    else { return nil }
    if known.count >= Self.maxKnown { known = [:] }
    known[digest] = record
    return record
  }

  private static func identity(_ record: KeyRecord) -> Identity {
    Identity(
      name: record.name, roles: record.roles, record: record, proofKey: nil, nonce: nil, legacyDigest: nil)
  }

  /// - Parameter times: in milliseconds; any one of these may be meant.
  private func outside(_ times: [Int64], _ wall: WallTime) -> Refusal? {
    let offsets = times.map { time in
      let (difference, overflow) = time.subtractingReportingOverflow(wall.milliseconds)
      return overflow ? (time < 0 ? Int64.min : Int64.max) : difference
    }
    guard let offset = offsets.min(by: { $0.magnitude < $1.magnitude }), offset.magnitude > UInt64(nonces.window) else {
      return nil
    }
    let seconds = offset.magnitude / 1_000
    let direction = offset > 0 ? "ahead of" : "behind"
    let text =
      "the clocks are too far apart: this request's time is \(seconds) s \(direction) the coordinator's, which is "
      + "\(wall.iso8601); at most \(nonces.window / 1_000) s are allowed"
    return Refusal(403, text, cause: "the peer's clock is \(seconds) s \(direction) ours")
  }

  private mutating func replayed(_ nonce: String, _ wall: WallTime) -> Refusal? {
    switch nonces.take(nonce, at: wall.milliseconds) {
    case .fresh: return nil
    case .replayed:
      return Refusal(403, "this request was seen before; sign each with a nonce of its own", cause: "replayed upgrade")
    case .full:
      return Refusal(
        503, "too many upgrades in a short time; try again later", cause: "the nonces' table is full",
        retryAfter: .seconds(10))
    }
  }

  private static func bearer(_ field: String) -> String? {
    guard field.lowercased().hasPrefix("bearer ") else { return nil }
    return String(field.dropFirst(7).drop { $0 == " " })
  }
}
