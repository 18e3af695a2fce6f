import CoordinationCore
import Primitives
import WebSocket
import WebSocketCore

/// Says no to upgrades before anything is spent on them: while the coordinator ends, when all places are taken, and when
/// more come each second than are admitted.
final class Gatekeeper {
  enum Party { case worker, client }

  private let settings: AdmissionSettings
  private let log: (LogEntry) -> Void
  private var workers: Admission
  private var clients: Admission
  private var drainEnds: Instant?
  private var unlogged = 0
  private var loggedAt: Instant?

  /// Refusals are told at most so often.
  private static let logInterval: Duration = .seconds(1)

  init(_ settings: AdmissionSettings, at now: Instant, log: @escaping (LogEntry) -> Void) {
    self.settings = settings
    self.log = log
    workers = Admission(settings.upgrades, at: now)
    clients = Admission(settings.upgrades, at: now)
  }

  /// The connection limits of the server behind: a few more than are let in, so that those can be told.
  var limits: ConnectionLimits {
    var limits = ConnectionLimits()
    limits.maxConnections = Self.sum(settings.maxConnections, AdmissionSettings.maxRefusedAtOnce)
    limits.maxConnectionsPerAddress = Self.sum(settings.maxConnectionsPerAddress, AdmissionSettings.maxRefusedAtOnce)
    return limits
  }

  private static func sum(_ left: Int, _ right: Int) -> Int {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
  }

  /// Everyone is refused from now on, and told to come back when the coordinator will have ended.
  func drains(until end: Instant) { drainEnds = end }

  /// Judges a request for an upgrade.
  /// - Returns: the answer to send instead; `nil` when there is room.
  func refusal(of request: UpgradeRequest, server: WebSocketServer?, at now: Instant) -> UpgradeDecision? {
    if let drainEnds {
      return refuse(
        503, "the coordinator is shutting down", max(.zero, drainEnds - now) + .milliseconds(500), request, now)
    }
    // The one that asks is counted already.
    if let server, server.connectionCount > settings.maxConnections {
      return refuse(
        503, "the coordinator has all \(settings.maxConnections) connections that it takes (--max-connections)",
        AdmissionSettings.fullRetryAfter, request, now)
    }
    if let server, server.connectionCount(from: request.remoteAddress) > settings.maxConnectionsPerAddress {
      return refuse(
        429,
        "there are \(settings.maxConnectionsPerAddress) connections from this address already "
          + "(--max-connections-per-address)", AdmissionSettings.fullRetryAfter, request, now)
    }
    let delay = Self.party(request) == .client ? clients.refusal(at: now) : workers.refusal(at: now)
    return delay.flatMap { refuse(503, "too many connect at once; come back later", $0, request, now) }
  }

  /// An upgrade was accepted.
  func admit(_ party: Party, at now: Instant) {
    switch party {
    case .worker: workers.admit(at: now)
    case .client: clients.admit(at: now)
    }
  }

  private static func party(_ request: UpgradeRequest) -> Party {
    request.path == Protocols.clientPath ? .client : .worker
  }

  private func refuse(
    _ status: Int, _ text: String, _ delay: Duration, _ request: UpgradeRequest, _ now: Instant
  ) -> UpgradeDecision {
    unlogged += 1
    if loggedAt.map({ now - $0 >= Self.logInterval }) ?? true {
      log(
        LogEntry(
          drainEnds == nil ? .warning : .info, "connections refused",
          [
            "count": "\(unlogged)", "reason": text, "newest": "\(request.remoteAddress)",
            "retry_after_s": RetryHint.fieldValue(delay),
          ]))
      loggedAt = now
      unlogged = 0
    }
    return .reject(status: status, message: text, headers: ["Retry-After": RetryHint.fieldValue(delay)])
  }
}

@available(*, unavailable) extension Gatekeeper: Sendable {}
