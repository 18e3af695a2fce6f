import Authentication
import CoordinationCore
import Cryptography
import Glibc
import Primitives
import Reactor
import WebSocket
import WebSocketCore

/// Who comes in: judges the credentials of upgrades, and tells the log what it does not tell the peer.
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
  /// Strangers must not be able to fill the log.
  private var logLines: TokenBucket
  private var unlogged = 0

  init(_ settings: SecuritySettings, at now: Instant, log: @escaping (LogEntry) -> Void) {
    authenticator = settings.keys.map {
      Authenticator($0, window: settings.window, pepper: SecureRandom.bytes(32))
    }
    logLines = TokenBucket(rate: 1, burst: 50, at: now)
    self.log = log
  }

  /// Asked for at each upgrade, because it changes twice a year.
  private static func secondsEastOfGreenwich(at wall: WallTime) -> Int32 {
    var seconds = time_t(wall.milliseconds / 1_000)
    // SAFETY: both are locals that live for the call; of the parts only a number is read.
    var parts = unsafe tm()
    guard unsafe localtime_r(&seconds, &parts) != nil else { return 0 }
    return unsafe Int32(clamping: parts.tm_gmtoff)
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

  /// Judges who asks for a page, or for anything else that is no upgrade.
  func judge(_ request: HTTPRequest, from address: SocketAddress, for access: Access, at now: Instant) -> Judgement {
    guard needsKeys else { return .admitted(Pass(identity: nil)) }
    return judge(request.target, "", request.headers, from: address, for: access, at: now)
  }

  /// The same, for what is only shown: the answer to send instead; `nil` when it is to be shown.
  func refusal(of request: HTTPRequest, from address: SocketAddress, at now: Instant) -> HTTPResponse? {
    switch judge(request, from: address, for: .read, at: now) {
    case .admitted: nil
    case .refused(let rejection): rejection.response
    }
  }

  /// Whether anybody must say who he is.
  var needsKeys: Bool { authenticator != nil }

  private func judge(
    _ target: String, _ subprotocols: String, _ headers: HTTPHeaders, from address: SocketAddress, for access: Access,
    at now: Instant
  ) -> Judgement {
    guard needsKeys else { return .admitted(Pass(identity: nil)) }
    let credentials = Credentials(
      target: target, subprotocols: subprotocols, address: Self.network(of: address)
    ) { headers[$0] }
    let wall = SystemWallClock.now()
    let east = Self.secondsEastOfGreenwich(at: wall)
    switch authenticator?.judge(credentials, at: now, wall: wall, secondsEast: east) {
    case .success(let identity)?:
      guard identity.may(access) else {
        return .refused(refuse(.forbidden(identity, Self.words(access)), address, now))
      }
      return .admitted(pass(identity))
    case .failure(let refusal)?: return .refused(refuse(refusal, address, now))
    case nil: return .admitted(Pass(identity: nil))
    }
  }

  private func pass(_ identity: Identity) -> Pass {
    var pass = Pass(identity: identity)
    if let key = identity.proofKey, let nonce = identity.nonce {
      let own = Base64.encodeURL(SecureRandom.bytes(16))
      let secret = ChannelSecret(proofKey: key, client: nonce, server: own)
      pass.headers = [UpgradeProof.nonceField: own, UpgradeProof.proofField: secret.answer]
      pass.security = .signed(secret)
    } else if let digest = identity.legacyDigest {
      pass.security = .signedAsReference(digest: digest)
    }
    return pass
  }

  private func refuse(_ refusal: Refusal, _ address: SocketAddress, _ now: Instant) -> Rejection {
    if logLines.take(at: now) {
      log(
        LogEntry(
          .warning, "request refused",
          [
            "peer": "\(address)", "status": "\(refusal.status)", "cause": refusal.cause,
            "not_logged_before": "\(unlogged)",
          ]))
      unlogged = 0
    } else {
      unlogged += 1
    }
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
  static func network(of address: SocketAddress) -> String {
    guard case .ipv6(let ip, _) = address else { return address.host }
    // The IPv4 address that an IPv6 socket received (RFC 4291 §2.5.5.2).
    if ip.high == 0, ip.low >> 32 == 0xFFFF {
      return SocketAddress.ipv4(.init(bits: UInt32(truncatingIfNeeded: ip.low)), port: 0).host
    }
    return "\(String(ip.high, radix: 16))/64"
  }
}

@available(*, unavailable) extension UpgradeGuard: Sendable {}
