import Authentication
import CoordinationCore
import Cryptography
import Primitives
import Reactor
import WebSocket
import WebSocketCore

/// Who comes in: judges the credentials of upgrades, tells the log what it does not tell the peer, and counts.
final class UpgradeGuard {
  /// How an upgrade is answered whose sender may come in.
  struct Pass {
    /// `nil` while nobody needs a key.
    let identity: Identity?
    /// Fields of the answer: the nonce that makes the connection's codes its own.
    var headers: HTTPHeaders = [:]
    var security = LinkSecurity.open
  }

  enum Judgement {
    case admitted(Pass)
    case refused(Rejection)
  }

  private var authenticator: Authenticator?
  private let log: (LogEntry) -> Void
  /// By the status that was answered.
  private(set) var refusals: [Int: Int] = [:]

  init(_ settings: SecuritySettings, log: @escaping (LogEntry) -> Void) {
    authenticator = settings.keys.map {
      Authenticator($0, window: settings.window, pepper: SecureRandom.bytes(32))
    }
    self.log = log
  }

  /// Takes other keys for those who come from now on.
  func replace(keys: KeyRing) { authenticator?.replace(ring: keys) }

  func stillKnows(_ identity: Identity?) -> Bool {
    guard let identity, let authenticator else { return true }
    return authenticator.stillKnows(identity)
  }

  func judge(
    _ request: HandshakeRequest, from address: SocketAddress, for access: Access, at now: Instant
  ) -> Judgement {
    let headers = request.headers
    let subprotocols = request.subprotocols.joined(separator: ", ")
    return judge(request.target, subprotocols, headers, from: address, for: access, at: now)
  }

  /// Judges who asks for a page: the answer to send instead; `nil` when it is to be shown.
  func refusal(of request: HTTPRequest, from address: SocketAddress, at now: Instant) -> HTTPResponse? {
    switch judge(request.target, "", request.headers, from: address, for: .read, at: now) {
    case .admitted: nil
    case .refused(let rejection): rejection.response
    }
  }

  private func judge(
    _ target: String, _ subprotocols: String, _ headers: HTTPHeaders, from address: SocketAddress, for access: Access,
    at now: Instant
  ) -> Judgement {
    guard authenticator != nil else { return .admitted(Pass(identity: nil)) }
    let credentials = Credentials(
      target: target, subprotocols: subprotocols, address: Self.network(of: address)
    ) { headers[$0] }
    switch authenticator?.judge(credentials, at: now, wall: SystemWallClock.now()) {
    case .success(let identity)?:
      guard identity.may(access) else { return .refused(refuse(.forbidden(identity, Self.words(access)), address)) }
      return .admitted(pass(identity))
    case .failure(let refusal)?: return .refused(refuse(refusal, address))
    case nil: return .admitted(Pass(identity: nil))
    }
  }

  private func pass(_ identity: Identity) -> Pass {
    var pass = Pass(identity: identity)
    if let key = identity.proofKey, let nonce = identity.nonce {
      let own = Base64.encodeURL(SecureRandom.bytes(16))
      pass.headers = [UpgradeProof.nonceField: own]
      pass.security = .signed(ChannelSecret(proofKey: key, client: nonce, server: own))
    } else if let digest = identity.legacyDigest {
      pass.security = .signedAsReference(digest: digest)
    }
    return pass
  }

  private func refuse(_ refusal: Refusal, _ address: SocketAddress) -> Rejection {
    refusals[refusal.status, default: 0] += 1
    log(
      LogEntry(
        .warning, "request refused",
        ["peer": "\(address)", "status": "\(refusal.status)", "cause": refusal.cause]))
    var headers: HTTPHeaders = refusal.status == 401 ? ["WWW-Authenticate": "Bearer"] : [:]
    if let delay = refusal.retryAfter { headers.append("Retry-After", RetryHint.fieldValue(delay)) }
    return Rejection(status: refusal.status, headers: headers, message: refusal.message)
  }

  private static func words(_ access: Access) -> String {
    switch access {
    case .work: "connect as a worker"
    case .read: "see tasks and workers"
    case .change: "submit or control tasks"
    }
  }

  /// Whoever has one IPv6 address has 2⁶⁴ of them.
  private static func network(of address: SocketAddress) -> String {
    let host = address.host
    guard host.contains(":") else { return host }
    return host.split(separator: ":", omittingEmptySubsequences: false).prefix(4).joined(separator: ":")
  }
}

@available(*, unavailable) extension UpgradeGuard: Sendable {}
