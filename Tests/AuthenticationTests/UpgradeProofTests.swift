import Primitives
import Testing

@testable import Authentication

@Suite struct UpgradeProofTests {
  private struct Vector {
    let key, line, proof, channel, answer: String
  }

  /// Computed with Python: hashlib.pbkdf2_hmac, hmac, base64.
  private static let vectors = [
    Vector(
      key: "rack7.AAECAwQFBgcICQoLDA0ODw.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
      line: "rack7 worker scram-sha-256$AAECAwQFBgcICQoLDA0ODw$IGp_Kt0mk_cZ_RkDqSL5SU3oS6tcZPBEBVoj1EbYJ7k",
      proof: "nZuQUZs_1GzsNw-oTl1Z7goK6szEd_8S79d5mvmtJkg",
      channel: "jGoOQ3XZeabC7K3_K9awGN2l7MhDxOsCsfRwfNnE6Ds", answer: "cga4_YARn7H9UDzqqrFv7mRkLsBgKqNXhRWUXIFUN-4"),
    Vector(
      key: "correct-horse-battery",
      line: "default worker scram-sha-256$qOrLy4z4-kr_XEDdKoos-Q$A9OKBfrqJfqeVuH2I89TYi4WH1lFJIEnxMjz98Z2Svo",
      proof: "858d0uhbvsi7Bb1D-OFRB4rMNmpR7lVIluO9cuevvbs",
      channel: "FUaNy7ga195mIuCwrNTNqQ_9kwH1JCfTLDO_UqlOXhk", answer: "8wVge8kvpUXwWIRtey6Cye4aqb82uBAqditmEqwYRVI"),
  ]

  @Test(arguments: vectors.indices)
  func `stored keys, proofs, channel secrets and answers are what another program computes`(index: Int) throws {
    let vector = Self.vectors[index]
    let key = try APIKey(vector.key)
    let record = KeyRecord(key, roles: [.worker])
    #expect(try KeyRing(text: vector.line).records == [record])
    let proof = UpgradeProof(
      key, target: "/api/v1/worker/w1/ws", subprotocol: "lifeline.v1", time: WallTime(milliseconds: 1_764_061_200_000),
      nonce: Array(0..<16))
    #expect(proof.fields.value(UpgradeProof.proofField) == vector.proof)
    #expect(proof.proofKey(of: record, target: "/api/v1/worker/w1/ws", subprotocol: "lifeline.v1") == key.proofKey)
    let secret = ChannelSecret(proofKey: key.proofKey, client: proof.nonce, server: "server")
    #expect(Base64.encodeURL(secret.bytes) == vector.channel)
    #expect(secret.answer == vector.answer)
    #expect(secret.isAnswered(by: vector.answer))
    for wrong in ["", String(vector.answer.dropLast()), vector.answer + "A", vector.proof] {
      #expect(!secret.isAnswered(by: wrong))
    }
  }

  @Test func `a proof holds for its own key and request only`() throws {
    let (key, other) = (APIKey.generate(name: "a"), APIKey.generate(name: "a"))
    let proof = UpgradeProof(
      key, target: "/x", subprotocol: "lifeline.v1", time: WallTime(milliseconds: 5), nonce: Array(0..<16))
    let record = KeyRecord(key, roles: [])
    #expect(proof.proofKey(of: record, target: "/x", subprotocol: "lifeline.v1") != nil)
    #expect(proof.proofKey(of: record, target: "/y", subprotocol: "lifeline.v1") == nil)
    #expect(proof.proofKey(of: record, target: "/x", subprotocol: "") == nil)
    #expect(proof.proofKey(of: KeyRecord(other, roles: []), target: "/x", subprotocol: "lifeline.v1") == nil)
  }

  @Test func `the reference's signature is what the reference computes`() throws {
    let fields = [
      "X-API-Key": "correct-horse-battery", "X-Timestamp": "1764061200", "X-Nonce": "AAECAwQFBgcICQoLDA0ODw==",
      "X-Signature": "xw5+LO7Q2fI+ZhcMIO76SwvNjOjN8pXoyVUNhul/bvU=",
    ]
    let signature = try #require(LegacySignature { fields[$0] })
    #expect(signature.isMadeWithItsKey)
    #expect(signature.digest == "YiSTaTiQdUkFVadYNTrsYVAMYhj6WXJS1S3EvQFI8S0=")
    for name in fields.keys {
      let changed = LegacySignature { $0 == name ? "AAAA" : fields[$0] }
      #expect(changed?.isMadeWithItsKey != true, "\(name) was changed")
      #expect(LegacySignature { $0 == name ? nil : fields[$0] } == nil, "\(name) was left out")
    }
  }

  @Test(
    arguments: [
      ("1764061200", [1_764_061_200_000]), ("1764061200.5", [1_764_061_200_500]), ("0", [0]),
      ("2025-11-25T09:00:00", [1_764_061_200_000, 1_764_054_000_000]),
      ("2025-11-25T09:00:00.250000", [1_764_061_200_250, 1_764_054_000_250]),
      ("2025-11-25T09:00:00Z", [1_764_061_200_000]), ("2025-11-25T11:00:00+02:00", [1_764_061_200_000]),
      ("2025-02-29", []), ("soon", []), ("nan", []), ("inf", []), ("-1", []), ("1e300", []),
    ] as [(String, [Int64])])
  func `the reference's time stamp is read in every form that it may have`(text: String, times: [Int64]) throws {
    let fields = ["X-API-Key": "k", "X-Timestamp": text, "X-Nonce": "n", "X-Signature": "AAAA"]
    #expect(try #require(LegacySignature { fields[$0] }).milliseconds(secondsEast: 7_200) == times)
  }
}

extension [(name: String, value: String)] {
  func value(_ name: String) -> String? { first { $0.name == name }?.value }
}
