import Authentication
import CoordinationCore
import Cryptography
import Reactor
import WebSocket
import WebSocketCore

/// A worker's or a client's way in: each upgrade is signed anew, and what both ends then share is found in the answer.
final class UpgradeSigner {
  private let key: APIKey
  private var nonce = ""

  init(_ key: APIKey) { self.key = key }

  /// The fields of the next request.
  func headers(target: String, subprotocols: [String]) -> HTTPHeaders {
    let proof = UpgradeProof(
      key, target: target, subprotocol: subprotocols.joined(separator: ", "), time: SystemWallClock.now(),
      nonce: SecureRandom.bytes(16))
    nonce = proof.nonce
    var headers = HTTPHeaders()
    for field in proof.fields { headers.append(field.name, field.value) }
    return headers
  }

  /// The fields for the reference's coordinator, which knows no other way than to be sent the key.
  func legacyHeaders() -> HTTPHeaders { ["Authorization": "Bearer \(key.text)"] }

  /// What the coordinator's answer makes of it; `nil` when it does not prove to know the key: it asks for none, or is
  /// somebody else.
  func secret(answered headers: HTTPHeaders) -> ChannelSecret? {
    guard let own = headers[UpgradeProof.nonceField], let proof = headers[UpgradeProof.proofField] else { return nil }
    let secret = ChannelSecret(proofKey: key.proofKey, client: nonce, server: own)
    return secret.isAnswered(by: proof) ? secret : nil
  }
}

@available(*, unavailable) extension UpgradeSigner: Sendable {}
