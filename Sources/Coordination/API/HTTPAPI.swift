import Authentication
import CoordinationCore
import Primitives
import Reactor
import WebSocket
import WebSocketCore

/// The API over HTTP: judges who asks, understands what, and has it done.
///
///     HTTPExchange ─▶ APIRoute ─▶ UpgradeGuard ─▶ APICall ─▶ core, store, cache ─▶ HTTPResponse or HTTPStream
///
/// What a request means is found by values that know nothing of sockets (`APIRoute`, `APICall`); how it is done is in this
/// class's extensions, one for each kind of thing that is asked for.
final class HTTPAPI {
  /// How long somebody is told to wait while the store is behind.
  static let busyRetryAfter: Duration = .seconds(1)
  /// The same while as many tasks are there as may be, or the coordinator ends.
  static let fullRetryAfter: Duration = .seconds(10)

  let runtime: CoordinatorRuntime
  let cache: TaskCache
  let feed: EventFeed
  var followers: [TaskID: [LogFollower]] = [:]
  var followerCount = 0
  /// Submissions with an idempotency key that have no answer yet, by what their tasks' names begin with.
  var keysInUse: [String: [TaskSubmission]] = [:]
  var telemetryAskedAt: [WorkerID: Instant] = [:]
  private let startedAt: Instant
  private var overviewText: (at: Instant, text: [UInt8])?

  init(_ runtime: CoordinatorRuntime, slowTimeout: Duration) {
    self.runtime = runtime
    startedAt = runtime.loop.now
    // Of tasks that other coordinators hold not every change is told here; what has ended never changes.
    cache = TaskCache(
      mayKeep: { [unowned runtime] in !runtime.isShared || $0.state.status.isTerminal },
      read: { [unowned runtime] id, answer in runtime.task(id, answer) })
    let began = startedAt
    feed = EventFeed(
      on: runtime.loop, slowTimeout: slowTimeout,
      overview: { [unowned runtime] in runtime.overview(since: began).json },
      worker: { [unowned runtime] in runtime.workerSummary($0)?.presentation })
  }

  func note(_ notice: CoordinatorNotice) {
    switch notice {
    case .taskChanged(let task):
      cache.forget(task.id)
      // An attempt has ended, and perhaps the task.
      if task.state.status.isTerminal || task.state.status == .queued { catchUpFollowers(of: task.id) }
    case .checkpointStored(let task, _): cache.forget(task)
    case .outputAppended(let task, let attempt, let stream, let offset, let bytes):
      for follower in followers[task] ?? [] { follower.wrote(attempt: attempt, stream, offset: offset, bytes) }
    default: break
    }
    feed.note(notice)
  }

  /// Ends the streams of those whose keys are gone.
  func endStreams(where isGone: (Identity?) -> Bool) {
    feed.end(where: isGone)
    for follower in followers.values.joined() where isGone(follower.identity) {
      follower.end()
      remove(follower)
    }
  }

  /// Ends every stream.
  func stop() {
    feed.stop()
    for follower in followers.values.joined() { follower.end() }
    followers = [:]
    followerCount = 0
  }

  // MARK: One request

  func serve(_ exchange: HTTPExchange) {
    let request = exchange.request
    let reply = APIReply(exchange)
    let route = APIRoute(method: request.method.rawValue, path: reply.path)
    switch runtime.entrance.upgradeGuard.judge(
      request, from: exchange.remoteAddress, for: route.access, at: runtime.loop.now)
    {
    case .refused(let rejection): reply.problem(APIProblem(rejection.response))
    case .admitted(let pass):
      do throws(APIProblem) {
        switch route {
        case .unknown: throw .notFound("the API has no such path; \(APIOperation.prefix)/openapi.json has them all")
        case .otherMethods(let methods): throw .methodNotAllowed(methods)
        case .operation(let operation, let names):
          perform(try APICall(operation, names, of: APIRequest(request)), pass.identity, reply)
        }
      } catch {
        reply.problem(error)
      }
    }
  }

  private func perform(_ call: APICall, _ identity: Identity?, _ reply: APIReply) {
    switch call {
    case .submit(let body, let key): submit(body, key, identity, reply)
    case .list(let filter): list(filter, reply)
    case .task(let id): show(id, reply)
    case .cancel(let id): control(.cancel(id), id, reply)
    case .pause(let id): control(.pause(id), id, reply)
    case .resume(let id): control(.resume(id), id, reply)
    case .requestCheckpoint(let id): control(.checkpoint(id), id, reply)
    case .retry(let id): retry(id, reply)
    case .result(let id): result(id, reply)
    case .logs(let id, let streams, let follow):
      if follow, !reply.isHead { self.follow(id, streams, identity, reply) } else { logs(id, streams, reply) }
    case .checkpoints(let id): checkpoints(id, reply)
    case .checkpoint(let id, let reference): checkpoint(reference, of: id, reply)
    case .workers: listWorkers(reply)
    case .worker(let id): worker(id, reply)
    case .workerMetrics(let id): metrics(of: id, reply)
    case .drain(let id): drain(id, reply)
    case .queue:
      reply.json(["tasks": .object(runtime.taskQueueStatus.json), "messages": .object(runtime.messageQueueStatus.json)])
    case .overview: reply.send(APIResponse.json(overview))
    case .events(let run): listen(run, identity, reply)
    case .document: reply.send(APIResponse.json(PackageResources.openapi_json))
    }
  }

  /// The same for everybody who asks in one turn of the loop.
  private var overview: [UInt8] {
    let now = runtime.loop.now
    if let overviewText, overviewText.at == now { return overviewText.text }
    let text = APIResponse.text(runtime.overview(since: startedAt).json)
    overviewText = (at: now, text: text)
    return text
  }

  private func listen(_ run: String?, _ identity: Identity?, _ reply: APIReply) {
    guard feed.hasRoom else {
      return reply.problem(
        .unavailable("\(EventFeed.maxListeners) listen already", retryAfter: Self.fullRetryAfter))
    }
    let response = HTTPResponse(
      headers: APIResponse.fields, contentType: ServerSentEvent.contentType, body: Array("retry: 2000\n\n".utf8))
    guard let stream = reply.stream(response) else { return }
    if reply.isHead { stream.finish() } else { feed.add(stream, run: run, identity) }
  }
}

@available(*, unavailable) extension HTTPAPI: Sendable {}

extension APIRoute {
  /// Those who ask for nothing that there is are not told so for free.
  var access: Access { if case .operation(let operation, _) = self { operation.access } else { .read } }
}

extension APIRequest {
  init(_ request: HTTPRequest) {
    self.init(request.method.rawValue, request.path, query: request.query)
    guard request.method != .get, request.method != .head else { return }
    contentType = request.header("content-type")
    idempotencyKey = request.header("idempotency-key")
    body = request.body
  }
}

/// The way to answer one request.
struct APIReply {
  private let exchange: HTTPExchange
  let path: String

  init(_ exchange: HTTPExchange) {
    self.exchange = exchange
    path = exchange.request.path
  }

  var isHead: Bool { exchange.request.method == .head }
  var bodyBytes: Int { exchange.request.body.count }

  func send(_ response: HTTPResponse) { exchange.respond(response) }
  func json(_ object: JSONObject, status: Int = 200, headers: HTTPHeaders = [:]) {
    send(APIResponse.json(object, status: status, headers: headers))
  }
  func problem(_ problem: APIProblem) { send(problem.response(instance: path)) }
  /// `nil` when the client has gone.
  func stream(_ response: HTTPResponse) -> HTTPStream? { exchange.stream(response) }
}
