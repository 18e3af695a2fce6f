import Authentication
import CoordinationCore
import Metrics
import Primitives
import Reactor
import WebSocket
import WebSocketCore

/// Where everybody comes in: listens, and judges whoever asks for an upgrade.
final class Entrance {
  /// The longest body of a request to the API: ten thousand ordinary tasks.
  static let maxBodyBytes = 8 << 20

  private unowned let runtime: CoordinatorRuntime
  private let settings: CoordinatorSettings
  let upgradeGuard: UpgradeGuard
  let pages: PageRule
  private let gatekeeper: Gatekeeper
  private var server: WebSocketServer?
  private var knowsLegacyName = false

  init(_ runtime: CoordinatorRuntime, _ settings: CoordinatorSettings) {
    self.runtime = runtime
    self.settings = settings
    upgradeGuard = UpgradeGuard(settings.security, at: runtime.loop.now, log: settings.log)
    pages = PageRule(listeningHost: settings.host)
    gatekeeper = Gatekeeper(settings.admission, at: runtime.loop.now, log: settings.log)
  }

  // MARK: Listening

  /// Listens at the address that the settings say.
  func open(_ completion: @escaping (Result<Void, CoordinatorStartError>) -> Void) {
    let (host, port) = (settings.host, settings.port)
    Resolver.resolve(host: host, port: port, on: runtime.loop) { [self, runtime] result in
      do {
        let addresses = try result.get()
        guard let address = addresses.first else {
          throw SystemError(call: "getaddrinfo", subject: host, code: 0, detail: "no address")
        }
        if let problem = ListeningRule.problem(
          host: host, isLoopback: address.isLoopback, hasTLS: settings.tls != nil,
          hasKeys: settings.security.keys != nil, isInsecure: settings.security.isInsecure)
        {
          return completion(.failure(.address(problem)))
        }
        try listen(at: address, runtime)
        completion(.success(()))
      } catch {
        completion(.failure(.address("cannot listen at \(host):\(port): \(error)")))
      }
    }
  }

  private func listen(at address: SocketAddress, _ runtime: CoordinatorRuntime) throws {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = Protocols.maxMessageBytes
    configuration.maxFrameBytes = Protocols.maxMessageBytes
    configuration.pingInterval = settings.pingInterval
    configuration.pingTimeout = settings.pingTimeout
    configuration.subprotocols = [Protocols.session, Protocols.client]
    configuration.maxPendingBytes = AdmissionSettings.maxUnreadBytes
    configuration.maxRequestBodyBytes = Self.maxBodyBytes
    configuration.compression = settings.compression.configuration
    configuration.limitQueuedBytes()
    var options = ListenerOptions()
    // A herd or a crowd of drip feeders must not make the kernel drop an honest client's first packet.
    options.backlog = 4_096
    server = try WebSocketServer.listen(
      at: address, on: runtime.loop, configuration: configuration, options: options, tls: settings.tls,
      limits: gatekeeper.limits, resources: { [weak runtime] in runtime?.serve($0) }
    ) { [weak self] request in
      self?.decide(request) ?? .reject(status: 503, message: "the coordinator is shutting down")
    }
    server?.onHandshakeFailure = { [metrics = runtime.metrics] _, reason in
      metrics.refused[ConnectionRefusal(reason)].add()
    }
  }

  /// Where it listens.
  var address: SocketAddress { server?.localAddress ?? .loopback() }

  /// `ws://HOST:PORT`, or `wss://HOST:PORT`, as workers and clients are told it.
  var url: String {
    let host = address.host
    return "\(settings.tls == nil ? "ws" : "wss")://\(host.contains(":") ? "[\(host)]" : host):\(address.port ?? 0)"
  }

  /// Connections that had to end because of what they did.
  var cutConnections: Int { server?.cutConnections ?? 0 }

  /// Everyone is refused from now on, and told to come back when the coordinator will have ended.
  func drains(until end: Instant) { gatekeeper.drains(until: end) }

  func stopAccepting() { server?.stopAccepting() }

  func close() {
    server?.close()
    server = nil
  }

  // MARK: Upgrades

  private func decide(_ request: UpgradeRequest) -> UpgradeDecision {
    guard !runtime.hasStopped else { return .reject(status: 503, message: "the coordinator is shutting down") }
    guard !runtime.isRejoining else {
      return .reject(status: 503, message: "the coordinator takes its place anew", headers: ["Retry-After": "1"])
    }
    if let problem = problem(of: request) { return .reject(status: 403, message: PageRule.words(problem)) }
    let now = runtime.loop.now
    if let refusal = gatekeeper.refusal(of: request, server: server, at: now) { return refusal }
    let endpoint = Endpoint(target: request.target)
    switch upgradeGuard.judge(request.handshake, from: request.remoteAddress, for: endpoint.access, at: now) {
    case .admitted(let pass): return admit(request, to: endpoint, pass)
    case .refused(let rejection): return .reject(rejection)
    }
  }

  /// Only a browser says where it comes from, and always does: whoever does not is no page.
  private func problem(of request: UpgradeRequest) -> PageRule.Problem? {
    guard let origin = request.headers["origin"] else { return nil }
    let host = request.headers["host"] ?? ""
    return pages.problem(origin: origin, host: host, needsOwnName: !upgradeGuard.needsKeys)
  }

  private func admit(_ request: UpgradeRequest, to endpoint: Endpoint, _ pass: UpgradeGuard.Pass) -> UpgradeDecision {
    let offersSession = request.offeredSubprotocols.contains(Protocols.session)
    switch endpoint {
    case .worker(let id): return accept(id, offersSession ? .session : .legacy, pass)
    case .anonymousWorker:
      let suffix = String(UInt32.random(in: .min ... .max), radix: 16)
      let name = "worker-" + String(repeating: "0", count: 8 - suffix.count) + suffix
      guard let id = try? WorkerID(name) else { return .reject(status: 500, message: "no name could be made up") }
      return accept(id, .legacy, pass)
    case .client:
      gatekeeper.admit(.client, at: runtime.loop.now)
      let client = ClientSocket(
        number: runtime.connections.nextNumber(), identity: pass.identity, runtime: runtime)
      runtime.connections.add(client)
      runtime.metrics.accepted[.client].add()
      let chosen = request.offeredSubprotocols.contains(Protocols.client) ? Protocols.client : nil
      return .accept(subprotocol: chosen, headers: pass.headers, delegate: client)
    case .badWorkerID(let problem): return .reject(status: 400, message: problem)
    case .unknown:
      let text =
        "no such path; workers connect to \(Protocols.workerPathPrefix){worker_id}\(Protocols.workerPathSuffix), "
        + "clients to \(Protocols.clientPath)"
      return .reject(status: 404, message: text)
    }
  }

  private func accept(_ id: WorkerID, _ mode: ConnectionMode, _ pass: UpgradeGuard.Pass) -> UpgradeDecision {
    if mode == .legacy, id.text.contains("{"), !knowsLegacyName {
      knowsLegacyName = true
      settings.log(
        LogEntry(.warning, "a worker's name was never filled in; all that share it count as one", ["worker": id.text]))
    }
    gatekeeper.admit(.worker, at: runtime.loop.now)
    let number = ConnectionID(runtime.connections.nextNumber())
    let socket = WorkerSocket(number, workerID: id, mode: mode, pass, runtime: runtime)
    return .accept(
      subprotocol: mode == .session ? Protocols.session : nil, headers: pass.headers, delegate: socket)
  }
}

@available(*, unavailable) extension Entrance: Sendable {}
