import CoordinationCore
import Metrics
import Primitives
import Reactor
import Storage
import WebSocket

/// What the coordinator answers to ordinary HTTP requests on its port.
extension CoordinatorRuntime {
  /// A commit that takes longer than this means that the store is stuck.
  static let commitPatience: Duration = .seconds(10)

  func serve(_ exchange: HTTPExchange) {
    let request = exchange.request
    let path = request.path
    // What is for machines that watch over machines may be asked for under any name.
    let isForMonitoring = path == "/metrics" || path == "/healthz" || path == "/readyz"
    let problem = entrance.pages.problem(
      origin: request.header("origin"), host: request.host,
      needsOwnName: !isForMonitoring && !entrance.upgradeGuard.needsKeys)
    if let problem {
      return exchange.respond(APIProblem(problem).response(instance: path))
    }
    if let api, APIRoute.isBelowPrefix(path), !isEndpoint(request.target) { return api.serve(exchange) }
    exchange.respond(response(to: path, exchange))
  }

  /// Where workers and clients connect, which is below the API's prefix as well.
  private func isEndpoint(_ target: String) -> Bool {
    guard target.hasPrefix(Protocols.workerPathPrefix) || target.hasPrefix(Protocols.clientPath) else { return false }
    return Endpoint(target: target) != .unknown
  }

  private func response(to path: String, _ exchange: HTTPExchange) -> HTTPResponse {
    let method = exchange.request.method
    guard method == .get || method == .head else {
      return HTTPResponse(
        status: 405, headers: ["Allow": "GET, HEAD"], message: "the method \(method.rawValue) is not served here")
    }
    switch path {
    case "/metrics":
      let refusal = entrance.upgradeGuard.refusal(of: exchange.request, from: exchange.remoteAddress, at: loop.now)
      if let refusal { return refusal }
      return HTTPResponse(
        headers: Self.fresh, contentType: TextExposition.contentType, body: metrics.exposition(readings))
    case Dashboard.path: return Dashboard.response
    case "/": return Dashboard.redirection
    case "/healthz": return Self.status(200, ["status": "ok"])
    case "/readyz":
      guard let problem = readinessProblem else { return Self.status(200, ["status": "ready"]) }
      return Self.status(503, ["status": "not ready", "reason": .string(problem)])
    default:
      switch Endpoint(target: exchange.request.target) {
      // It is there, but speaks WebSocket only.
      case .worker, .anonymousWorker, .client: return HandshakeError.upgradeMissing.rejection.response
      case .badWorkerID(let problem): return HTTPResponse(status: 400, message: problem)
      case .unknown:
        return HTTPResponse(
          status: 404,
          message:
            "no such path; there are /dashboard, \(APIOperation.prefix)/openapi.json, /metrics, /healthz and /readyz")
      }
    }
  }

  /// Every answer is about this moment.
  private static let fresh: HTTPHeaders = ["Cache-Control": "no-store"]

  private static func status(_ status: Int, _ object: JSONObject) -> HTTPResponse {
    var body: [UInt8] = []
    object.write(into: &body)
    return HTTPResponse(status: status, headers: fresh, body: body + [UInt8(ascii: "\n")])
  }

  /// What the metrics do not count themselves, as it is now.
  var readings: CoordinatorMetrics.Readings {
    var readings = CoordinatorMetrics.Readings()
    readings.core = core.statistics
    readings.levels = core.levels
    readings.process = .read()
    readings.compression = loop.webSocketCompression
    readings.connections = connections.counts
    readings.cutConnections = entrance.cutConnections
    readings.slowReadersDropped = connections.slowReadersDropped
    readings.refusedStoreWrites = store.refusedWrites
    readings.isReady = readinessProblem == nil
    return readings
  }

  /// Why nobody should be sent here now; `nil` when the coordinator is ready.
  var readinessProblem: String? {
    if isDraining { return "the coordinator is shutting down" }
    if let problem = place?.problem { return problem }
    if let problem = commits.problem { return "the store cannot commit: \(problem)" }
    if let began = commits.began, loop.now - began > Self.commitPatience {
      return "the store has not answered a commit for \((loop.now - began).wholeMilliseconds / 1_000) s"
    }
    return nil
  }
}
