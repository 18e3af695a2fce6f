import Cryptography
import Primitives
import Testing

@testable import Authentication

/// One coordinator's judgement, with a clock that the test moves.
private struct Court {
  static let target = "/api/v1/worker/w1/ws"
  static let farm = APIKey.generate(name: "farm")

  var authenticator: Authenticator
  var now = Instant.zero
  var wall: Int64 = 1_764_061_200_000
  private var nonces: UInt8 = 0

  init(_ keys: APIKey..., window: Duration = .seconds(300), maxNonces: Int = 1_000_000) {
    authenticator = Authenticator(
      KeyRing(keys.map { KeyRecord($0, roles: [.worker]) }), window: window, maxNonces: maxNonces,
      pepper: Array(repeating: 7, count: 32))
  }

  mutating func judge(
    _ fields: [String: String], from address: String = "10.0.0.1", target: String = Court.target
  ) -> Result<Identity, Refusal> {
    authenticator.judge(
      Credentials(target: target, subprotocols: "lifeline.v1", address: address) { fields[$0] }, at: now,
      wall: WallTime(milliseconds: wall))
  }

  /// A request of a client whose clock is so far ahead.
  mutating func proof(_ key: APIKey = farm, ahead: Int64 = 0) -> [String: String] {
    nonces &+= 1
    let proof = UpgradeProof(
      key, target: Self.target, subprotocol: "lifeline.v1", time: WallTime(milliseconds: wall + ahead * 1_000),
      nonce: Array(repeating: nonces, count: 16))
    return Dictionary(uniqueKeysWithValues: proof.fields.map { ($0.name, $0.value) })
  }

  /// A request as the reference's enhanced worker signs it.
  mutating func legacy(_ key: String, timestamp: String = "1764061200") -> [String: String] {
    nonces &+= 1
    let nonce = Base64.encode(Array(repeating: nonces, count: 16))
    let digest = Base64.encode(SHA256.digest(of: key).bytes)
    let code = HMACSHA256.code(of: Array("\(key):\(timestamp):\(nonce)".utf8), key: Array(digest.utf8))
    return [
      "X-API-Key": key, "X-Timestamp": timestamp, "X-Nonce": nonce, "X-Signature": Base64.encode(code.bytes),
    ]
  }
}

extension Result where Success == Identity, Failure == Refusal {
  fileprivate var identity: Identity? { try? get() }
  fileprivate var refusal: Refusal? { if case .failure(let refusal) = self { refusal } else { nil } }
}

@Suite struct AuthenticatorTests {
  private static let chosen = "correct-horse-battery"

  @Test func `a proved request is let in, and shares a secret with the coordinator that no other request has`() throws {
    var court = Court(Court.farm)
    var secrets: [[UInt8]] = []
    for _ in 0..<2 {
      let fields = court.proof()
      let identity = try #require(court.judge(fields).identity)
      #expect(identity.name == "farm")
      #expect(identity.proofKey == Court.farm.proofKey)
      #expect(identity.nonce == fields[UpgradeProof.nonceField])
      secrets.append(
        ChannelSecret(proofKey: try #require(identity.proofKey), client: try #require(identity.nonce), server: "s")
          .bytes)
    }
    #expect(secrets[0] != secrets[1])
  }

  @Test func `a key that is sent is let in, again and again, until the ring has it no more`() throws {
    let chosen = try APIKey(Self.chosen)
    var court = Court(Court.farm, chosen)
    for text in [Court.farm.text, Self.chosen] {
      for _ in 0..<3 {
        #expect(court.judge(["Authorization": "Bearer \(text)"]).identity?.proofKey == nil)
        #expect(court.judge(["Authorization": "bearer  \(text)"]).identity != nil)
        #expect(court.judge(["X-API-Key": text]).identity != nil)
      }
      let wrong = String(text.dropLast()) + "_"
      #expect(court.judge(["Authorization": "Bearer \(wrong)"]).refusal?.status == 401)
    }
    court.authenticator.replace(ring: KeyRing())
    #expect(court.judge(["Authorization": "Bearer \(Self.chosen)"]).refusal?.status == 401)
  }

  @Test func `whatever is wrong with a key, the peer reads the same, and our log what it was`() throws {
    var court = Court(Court.farm)
    let forged = court.proof(APIKey.generate(name: "farm"))
    let refusals = [
      court.judge(forged).refusal, court.judge(court.proof(APIKey.generate(name: "stranger"))).refusal,
      court.judge(court.proof().merging([UpgradeProof.timeField: "x"]) { $1 }).refusal,
      court.judge(["Authorization": "Bearer whatever-it-is"]).refusal,
      court.judge(court.legacy("whatever-it-is")).refusal,
    ]
    #expect(Set(refusals.map { $0?.message }).count == 1)
    #expect(refusals.allSatisfy { $0?.status == 401 })
    #expect(
      refusals.map { $0?.cause } == [
        "wrong key farm", "unknown key stranger", "malformed proof", "wrong or unknown key", "wrong or unknown key",
      ])
  }

  @Test func `a proof that is truncated, padded or altered in any bit is refused`() throws {
    var court = Court(Court.farm)
    let fields = court.proof()
    let proof = try #require(fields[UpgradeProof.proofField].flatMap { Base64.decodeURL($0) })
    func cause(_ bytes: [UInt8]) -> String? {
      court.now += .seconds(60)
      return court.judge(fields.merging([UpgradeProof.proofField: Base64.encodeURL(bytes)]) { $1 }).refusal?.cause
    }
    for count in 0..<proof.count { #expect(cause(Array(proof.prefix(count))) == "malformed proof") }
    #expect(cause(proof + [0]) == "malformed proof")
    for bit in 0..<256 {
      var bytes = proof
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(cause(bytes) == "wrong key farm")
    }
    for name in [UpgradeProof.timeField, UpgradeProof.nonceField, UpgradeProof.keyField] {
      court.now += .seconds(60)
      #expect(court.judge(fields.filter { $0.key != name }).refusal?.cause == "malformed proof")
    }
    #expect(court.judge(fields, target: "/api/v1/worker/w2/ws").refusal?.status == 401)
    #expect(court.judge(fields).identity != nil, "none of all that used the nonce up")
  }

  @Test(arguments: [(300, true), (-300, true), (301, false), (-301, false), (3_600, false), (-3_600, false)])
  func `a clock may be off by five minutes, and is told by how much it is more`(seconds: Int64, isTaken: Bool) throws {
    var court = Court(Court.farm)
    let result = court.judge(court.proof(ahead: seconds))
    #expect((result.identity != nil) == isTaken)
    guard !isTaken else { return }
    let message = try #require(result.refusal?.message)
    #expect(
      message.contains("\(abs(seconds)) s \(seconds < 0 ? "behind" : "ahead of") the coordinator's"), "\(message)")
    #expect(!message.contains("farm"))
    // Who has no key is not told.
    let stranger = court.judge(court.proof(APIKey.generate(name: "stranger"), ahead: seconds)).refusal
    #expect(stranger?.status == 401 && stranger?.message.contains("clock") == false)
  }

  @Test(arguments: [Int64.max, .min, 0, -1])
  func `no time stamp traps`(time: Int64) throws {
    var court = Court(Court.farm)
    let proof = UpgradeProof(
      Court.farm, target: Court.target, subprotocol: "lifeline.v1", time: WallTime(milliseconds: time),
      nonce: Array(repeating: 1, count: 16))
    let fields = Dictionary(uniqueKeysWithValues: proof.fields.map { ($0.name, $0.value) })
    #expect(court.judge(fields).refusal?.message.contains(time > 0 ? "ahead of" : "behind") == true)
    #expect(court.judge(fields.merging([UpgradeProof.timeField: "\(time)0"]) { $1 }).refusal != nil)
  }

  @Test func `a request is taken once as long as its time is good, and then for its time`() throws {
    var court = Court(Court.farm)
    let fields = court.proof(ahead: 299)
    #expect(court.judge(fields).identity != nil)
    for _ in 0..<9 {
      court.wall += 60_000
      court.now += .seconds(60)
      #expect(court.judge(fields).refusal?.cause == "replayed upgrade")
    }
    court.wall += 120_000
    #expect(court.judge(fields).refusal?.cause.contains("clock") == true)
  }

  @Test func `when too many are to be remembered the next are put off, and none is forgotten`() throws {
    var court = Court(Court.farm, maxNonces: 3)
    let first = court.proof()
    #expect(court.judge(first).identity != nil)
    for _ in 0..<2 { #expect(court.judge(court.proof()).identity != nil) }
    let refusal = try #require(court.judge(court.proof()).refusal)
    #expect(refusal.status == 503)
    #expect(refusal.retryAfter != nil)
    #expect(court.judge(first).refusal?.cause == "replayed upgrade")
    court.wall += 700_000
    #expect(court.judge(court.proof()).identity != nil, "old ones make room")
  }

  @Test func `while a key is being replaced both are good, and only sessions of one that is gone must end`() throws {
    let (old, new) = (APIKey.generate(name: "farm"), APIKey.generate(name: "farm"))
    var court = Court(old, new)
    let byOld = try #require(court.judge(court.proof(old)).identity)
    let byNew = try #require(court.judge(court.proof(new)).identity)
    #expect(court.authenticator.stillKnows(byOld) && court.authenticator.stillKnows(byNew))
    court.authenticator.replace(ring: KeyRing([KeyRecord(new, roles: [.worker])]))
    #expect(!court.authenticator.stillKnows(byOld) && court.authenticator.stillKnows(byNew))
    #expect(court.judge(court.proof(old)).refusal?.status == 401)
    court.authenticator.replace(ring: KeyRing([KeyRecord(new, roles: [.submitter])]))
    #expect(!court.authenticator.stillKnows(byNew), "it may not do what it did any more")
  }

  @Test func `the reference's worker is let in with the right signature, once, and its messages can be verified`()
    throws
  {
    var court = Court(try APIKey(Self.chosen), Court.farm)
    let fields = court.legacy(Self.chosen)
    let identity = try #require(court.judge(fields).identity)
    #expect(identity.legacyDigest == Base64.encode(SHA256.digest(of: Self.chosen).bytes))
    #expect(identity.proofKey == nil)
    #expect(court.judge(fields).refusal?.cause == "replayed upgrade")
    #expect(court.judge(court.legacy(Court.farm.text)).identity?.name == "farm")
    #expect(
      court.judge(court.legacy(Self.chosen, timestamp: "1764057600")).refusal?.cause.contains("3600 s behind") == true)
    #expect(court.judge(court.legacy(Self.chosen, timestamp: "2025-11-25T09:00:00.000001")).identity != nil)
    #expect(court.judge(court.legacy(Self.chosen, timestamp: "soon")).refusal?.status == 401)
    #expect(court.judge(court.legacy("default-key")).refusal?.status == 401)
  }

  @Test func `a signature of the reference's that lost a part does not pass for a key sent without one`() throws {
    var court = Court(try APIKey(Self.chosen))
    let fields = court.legacy(Self.chosen)
    for name in LegacySignature.fieldNames {
      #expect(court.judge(fields.filter { $0.key != name }).refusal?.status == 401)
      #expect(court.judge([name: fields[name] ?? "", "X-API-Key": Self.chosen]).refusal?.status == 401)
    }
    for count in 0..<44 {
      court.now += .seconds(60)
      let cut = fields.merging(["X-Signature": String((fields["X-Signature"] ?? "").prefix(count))]) { $1 }
      #expect(court.judge(cut).refusal?.status == 401, "\(count) characters of it")
    }
    #expect(court.judge(fields).identity != nil)
  }

  @Test func `nothing to show is told so and is no failed try`() throws {
    var court = Court(Court.farm)
    for _ in 0..<100 { #expect(court.judge([:]).refusal?.message == "an API key is needed") }
    #expect(court.judge(["Authorization": "Basic abc"]).refusal?.status == 401)
    #expect(court.judge(court.proof()).identity != nil)
  }

  @Test func `an address that failed too often waits, whatever it shows then, and others do not`() throws {
    var court = Court(Court.farm)
    let wrong = ["Authorization": "Bearer wrong-horse-battery"]
    for _ in 0..<10 { #expect(court.judge(wrong).refusal?.status == 401) }
    #expect(court.judge(court.proof()).identity != nil)
    for _ in 0..<10 { #expect(court.judge(wrong).refusal?.status == 401, "a success gives nothing back") }
    let refusal = try #require(court.judge(court.proof()).refusal)
    #expect(refusal.status == 429)
    #expect(refusal.retryAfter == .seconds(2))
    #expect(court.judge(court.proof(), from: "10.0.0.2").identity != nil)
    court.now += .seconds(2)
    #expect(court.judge(court.proof()).identity != nil)
    #expect(court.judge(wrong).refusal?.status == 401)
    #expect(court.judge(wrong).refusal?.status == 429)
  }

  @Test func `addresses are remembered in bounds, and who failed most is remembered longest`() {
    var tries = FailedTries(capacity: 100)
    for _ in 0..<20 { tries.failed("worst", at: .zero) }
    for address in 1...5_000 {
      tries.failed("\(address)", at: .zero)
      #expect(tries.count <= 100)
    }
    #expect(tries.wait(of: "worst", at: .zero) == .seconds(2))
    #expect(tries.wait(of: "5000", at: .zero) == nil)
  }
}
