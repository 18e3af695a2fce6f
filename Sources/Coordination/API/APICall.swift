import CoordinationCore

/// A request to the API that was understood.
enum APICall: Equatable {
  case submit(SubmissionBody, IdempotencyKey?)
  case list(TaskFilter)
  case task(TaskID)
  case cancel(TaskID)
  case pause(TaskID)
  case resume(TaskID)
  case retry(TaskID)
  case requestCheckpoint(TaskID)
  case result(TaskID)
  case logs(TaskID, Set<OutputStream>, follow: Bool)
  case checkpoints(TaskID)
  case checkpoint(TaskID, CheckpointReference)
  case workers
  case worker(WorkerID)
  case workerMetrics(WorkerID)
  case drain(WorkerID)
  case queue
  case overview
  case events(run: String?)
  case document

  /// - Parameter names: the names in the request's path.
  init(_ operation: APIOperation, _ names: [String], of request: APIRequest) throws(APIProblem) {
    let query = try QueryParameters(request.query, known: operation.parameters)
    let name = names.first ?? ""
    if operation != .submitTasks, operation.method == .post { try Self.checkEmptyBody(request) }
    switch operation {
    case .submitTasks:
      let key = try request.idempotencyKey.map { text throws(APIProblem) in try IdempotencyKey(text) }
      self = .submit(try SubmissionBody(request, isKeyed: key != nil), key)
    case .listTasks: self = .list(try TaskListQuery.filter(query))
    case .getTask: self = .task(try Self.task(name))
    case .cancelTask: self = .cancel(try Self.task(name))
    case .pauseTask: self = .pause(try Self.task(name))
    case .resumeTask: self = .resume(try Self.task(name))
    case .retryTask: self = .retry(try Self.task(name))
    case .checkpointTask: self = .requestCheckpoint(try Self.task(name))
    case .getResult: self = .result(try Self.task(name))
    case .getLogs: self = .logs(try Self.task(name), try Self.streams(query), follow: try query.flag("follow"))
    case .listCheckpoints: self = .checkpoints(try Self.task(name))
    case .getCheckpoint:
      guard names.count > 1, let reference = CheckpointReference(names[1]) else {
        throw .notFound("a checkpoint is named by its number, or as ATTEMPT.NUMBER")
      }
      self = .checkpoint(try Self.task(name), reference)
    case .listWorkers: self = .workers
    case .getWorker: self = .worker(try Self.worker(name))
    case .getWorkerMetrics: self = .workerMetrics(try Self.worker(name))
    case .drainWorker: self = .drain(try Self.worker(name))
    case .getQueue: self = .queue
    case .getOverview: self = .overview
    case .getEvents: self = .events(run: try query.value("run"))
    case .getDocument: self = .document
    }
  }

  /// What cannot be a name is nobody's.
  private static func task(_ name: String) throws(APIProblem) -> TaskID {
    do { return try TaskID(name) } catch { throw .notFound("\(error)") }
  }

  private static func worker(_ name: String) throws(APIProblem) -> WorkerID {
    do { return try WorkerID(name) } catch { throw .notFound("\(error)") }
  }

  private static func streams(_ query: QueryParameters) throws(APIProblem) -> Set<OutputStream> {
    guard let name = try query.value("stream") else { return Set(OutputStream.allCases) }
    guard let stream = OutputStream(rawValue: name) else {
      throw APIProblem(.badParameter, "it must be stdout or stderr", field: "stream")
    }
    return [stream]
  }

  /// An order takes nothing; an empty object is what some clients send where there is nothing to say.
  private static func checkEmptyBody(_ request: APIRequest) throws(APIProblem) {
    guard !request.body.isEmpty else { return }
    try SubmissionBody.checkMediaType(request)
    guard case .object(let object)? = try? JSONParser.parse(request.body), object.isEmpty else {
      throw APIProblem(.badRequest, "this operation takes no body")
    }
  }
}

/// Names a checkpoint of a task: by its number, of the newest attempt that has one with it, or exactly.
struct CheckpointReference: Equatable {
  var attempt: Int?
  var number: Int

  init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0) }
    guard numbers.count == parts.count, (1...2).contains(numbers.count), numbers.allSatisfy({ $0 > 0 }) else {
      return nil
    }
    number = numbers[numbers.count - 1]
    attempt = numbers.count == 2 ? numbers[0] : nil
  }

  /// - Parameter checkpoints: oldest first.
  func find(in checkpoints: [CheckpointRecord]) -> CheckpointRecord? {
    checkpoints.last { $0.key.number == number && (attempt == nil || $0.key.attempt == attempt) }
  }
}
