import Authentication
import CoordinationCore
import Storage
import WebSocket
import WebSocketCore

/// One client's connection, speaking the client protocol of `README.md`.
final class ClientSocket: WebSocketDelegate {
  /// Bytes a watcher may leave unread before it is closed; it starts over with a list.
  private static let maxUnreadBytes = 8 << 20
  private static let maxTasksPerSubmit = 1_000
  /// Requests of one client that are worked on at once; what follows waits unread.
  static let maxRequestsInFlight = 64
  /// What had been read already and waits here, in bytes; a read's worth, or the client did not stop when it should.
  private static let maxQueuedBytes = 4 << 20

  let number: UInt64
  /// With which key it came; `nil` while nobody needs one.
  let identity: Identity?
  private let runtime: CoordinatorRuntime
  private var socket: WebSocketConnection?
  /// The number of this client's watch among the runtime's observers.
  private var watch: UInt64?
  private var buffer = OutgoingBytes()
  private var requestsInFlight = 0
  private var queue: [Request] = []
  private var queuedBytes = 0
  private var isWorking = false
  private var isHeldBack = false
  /// More waits for it than it has read.
  private var isCongested = false

  /// A request as it came: text, or a message about a file.
  private struct Request {
    let bytes: [UInt8]
    let isFile: Bool
  }

  private let frames = FileFrames(nil, .coordinator)

  init(number: UInt64, identity: Identity?, runtime: CoordinatorRuntime) {
    self.number = number
    self.identity = identity
    self.runtime = runtime
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) {
    self.socket = socket
    holdBack(runtime.isHeldBack)
  }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {
    self.socket = nil
    queue = []
    stopWatching()
    if case .outboundOverflow = reason.error {
      runtime.log(LogEntry(.warning, "a peer that does not read is cut", ["peer": name, "reason": "\(reason)"]))
    }
    runtime.ended(self)
  }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
    // Only text is known to be UTF-8, which the parser relies on.
    let request = Request(bytes: message.copied, isFile: kind == .binary)
    if !request.isFile { runtime.took(message.byteCount) }
    guard canWork, queue.isEmpty else { return keep(request) }
    work(request)
  }

  func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) {
    isCongested = true
    runtime.congested(self, true)
    updateReading()
  }

  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) {
    isCongested = false
    runtime.congested(self, false)
    workOn()
  }

  // MARK: Pacing

  private var canWork: Bool { requestsInFlight < Self.maxRequestsInFlight && !isCongested }

  private func keep(_ message: Request) {
    queuedBytes += message.bytes.count
    guard queuedBytes <= Self.maxQueuedBytes else {
      return close(CloseCode.policyViolation.rawValue, "more requests than are answered; wait for answers")
    }
    queue.append(message)
    updateReading()
  }

  private func answered() {
    requestsInFlight -= 1
    if !isWorking { workOn() }
  }

  /// Takes up what waits, as far as it may.
  private func workOn() {
    var index = 0
    while index < queue.count, canWork {
      queuedBytes -= queue[index].bytes.count
      work(queue[index])
      index += 1
    }
    queue.removeFirst(min(index, queue.count))
    updateReading()
  }

  private func updateReading() {
    if isHeldBack || !canWork || !queue.isEmpty { socket?.pauseReading() } else { socket?.resumeReading() }
  }

  private func work(_ request: Request) {
    isWorking = true
    requestsInFlight += 1
    if request.isFile { workOnFile(request.bytes) } else { work(request.bytes) }
    isWorking = false
  }

  private func workOnFile(_ bytes: [UInt8]) {
    let frame: FileFrames.Frame
    do { frame = try frames.open(bytes) } catch {
      requestsInFlight -= 1
      // Bytes changed on the way, and with them perhaps the number that an answer would need.
      return close(CloseCode.policyViolation.rawValue, "file message refused: \(error)")
    }
    let (id, type) = (frame.words["request_id"] ?? .null, frame.words["type"]?.string ?? "")
    guard Self.access(of: type).isGranted(to: identity?.roles ?? [.admin]) else {
      return fail(id, "forbidden", "the key \(identity?.name ?? "") may see tasks and workers, and not \(type)")
    }
    runtime.answer(frame) { [weak self] answer in
      guard let self else { return }
      if let socket {
        var answer = answer
        answer.words["request_id"] = id
        buffer.send(file: frames.seal(answer), over: socket)
      }
      answered()
    }
  }

  private func work(_ message: [UInt8]) {
    var requestID = JSONValue.null
    do {
      let request = try Envelope.open(message, mode: .legacy)
      requestID = request.fields["request_id"] ?? .null
      var fields = request.fields
      fields["request_id"] = nil
      try handle(Message(request.kind, fields), requestID)
    } catch {
      fail(requestID, "bad_request", "\(error)")
    }
  }

  func close(_ code: UInt16, _ reason: String) { socket?.close(code: CloseCode(rawValue: code), reason: reason) }

  func holdBack(_ held: Bool) {
    isHeldBack = held
    updateReading()
  }

  // MARK: Requests

  private func handle(_ request: Message, _ id: JSONValue) throws(MessageError) {
    guard Self.access(of: request.kind.name).isGranted(to: identity?.roles ?? [.admin]) else {
      return fail(
        id, "forbidden", "the key \(identity?.name ?? "") may see tasks and workers, and not \(request.kind.name)")
    }
    switch request.kind.name {
    case "submit": try submit(request.reader, id)
    case "list_tasks":
      let filter = try filter(request.reader)
      runtime.tasks(matching: filter) { [self] result in
        guard case .success(let tasks) = result else { return answer(id, result) { _ in [:] } }
        runtime.presentations(of: tasks) { [self] tasks in reply(id, ["tasks": .array(tasks.map(JSONValue.object))]) }
      }
    case "get_task":
      let task = try request.reader.taskID()
      runtime.task(task) { [self] result in
        guard case .success(let found) = result else { return answer(id, result) { _ in [:] } }
        guard let found else { return fail(id, "not_found", "there is no task \(task)") }
        runtime.presentation(of: found) { [self] task in reply(id, ["task": .object(task)]) }
      }
    case "count_tasks":
      let run = try request.reader.optionalString("run", maxBytes: 128)
      runtime.counts(run: run) { [self] result in
        answer(id, result) { counts in
          var object = JSONObject()
          for status in TaskStatus.allCases { object[status.rawValue] = .integer(Int64(counts[status] ?? 0)) }
          return ["counts": .object(object)]
        }
      }
    case "list_workers":
      let withTelemetry = try request.reader.optionalBool("telemetry") ?? false
      runtime.listWorkers(withTelemetry: withTelemetry) { [self] workers in
        reply(id, ["workers": .array(workers.map(JSONValue.object))])
      }
    case "request_telemetry":
      let isNamed = request.fields["worker_id"] != nil && request.fields["worker_id"] != .null
      control(.telemetry(isNamed ? try worker(request.reader) : nil), id)
    case "queue_status":
      reply(
        id,
        ["tasks": .object(runtime.taskQueueStatus.json), "messages": .object(runtime.messageQueueStatus.json)])
    case "cancel_task": control(.cancel(try request.reader.taskID()), id)
    case "pause_task": control(.pause(try request.reader.taskID()), id)
    case "resume_task": control(.resume(try request.reader.taskID()), id)
    case "checkpoint_task": control(.checkpoint(try request.reader.taskID()), id)
    case "retry_task": retry(try request.reader.taskID(), id)
    case "drain_worker": drain(try worker(request.reader), id)
    case "watch": try startWatching(request.reader, id)
    case "list_tests":
      let filter = try TestRequests.filter(request.reader)
      runtime.tests(matching: filter) { [self] result in
        answer(id, result) { tests in ["tests": .array(tests.map { .object($0.presentation) })] }
      }
    case "record_durations": control(.recordDurations(try TestRequests.durations(request.reader)), id)
    case "quarantine_test":
      let reason = try request.reader.optionalString("reason", maxBytes: TestRequests.maxReasonBytes)
      control(.quarantine(try TestRequests.name(request.reader), reason: reason ?? "by hand"), id)
    case "release_test": control(.release(try TestRequests.name(request.reader)), id)
    case "record_run": control(.recordRun(try TestRequests.runPart(request.reader)), id)
    case "get_run":
      let (run, number) = try TestRequests.runPartName(request.reader)
      runtime.runPart(run, number) { [self] result in
        if case .success(nil) = result { return fail(id, "not_found", "there is no part \(number) of a run \(run)") }
        answer(id, result) { part in ["plan": part.map { .object($0.plan) } ?? .null] }
      }
    default: fail(id, "bad_request", "unknown request type \(request.kind)")
    }
  }

  private static func access(of request: String) -> Access {
    switch request {
    case FileWords.put, "submit", "cancel_task", "pause_task", "resume_task", "checkpoint_task", "retry_task",
      "drain_worker", "record_durations", "quarantine_test", "release_test", "record_run":
      .change
    default: .read
    }
  }

  private func submit(_ reader: FieldReader, _ id: JSONValue) throws(MessageError) {
    guard let tasks = try reader.optionalArray("tasks", maxCount: Self.maxTasksPerSubmit) else {
      throw .missingField("tasks")
    }
    var submissions: [TaskSubmission] = []
    for (index, task) in tasks.enumerated() {
      guard let object = task.object else {
        throw .wrongType("tasks[\(index)]", expected: "an object", found: task.typeName)
      }
      do {
        let name = try FieldReader(object).optionalString("task_id", maxBytes: 4_096)
        var taskID: TaskID?
        if let name {
          do { taskID = try TaskID(name) } catch { throw MessageError.badValue("task_id", problem: "\(error)") }
        }
        submissions.append(TaskSubmission(id: taskID, try TaskSpecification(json: object)))
      } catch {
        throw .badValue("tasks[\(index)]", problem: "\(error)")
      }
    }
    control(.submit(submissions), id)
  }

  private func filter(_ reader: FieldReader) throws(MessageError) -> TaskFilter {
    var filter = TaskFilter()
    if let names = try reader.optionalArray("statuses", maxCount: 16) {
      var statuses: Set<TaskStatus> = []
      for name in names {
        guard let status = name.string.flatMap(TaskStatus.init(rawValue:)) else {
          let known = TaskStatus.allCases.map(\.rawValue).joined(separator: " ")
          throw .badValue("statuses", problem: "\(name.text) is none of \(known)")
        }
        statuses.insert(status)
      }
      filter.statuses = statuses
    }
    filter.run = try reader.optionalString("run", maxBytes: 128)
    if let worker = try reader.optionalString("worker_id", maxBytes: 4_096) {
      do { filter.workerID = try WorkerID(worker) } catch { throw .badValue("worker_id", problem: "\(error)") }
    }
    filter.ids = try taskIDs(reader)
    if reader.object["after"] != nil, reader.object["after"] != .null { filter.after = try reader.taskID("after") }
    filter.limit = try reader.optionalInteger("limit", in: 1...TaskFilter.maxLimit) ?? TaskFilter.maxLimit
    return filter
  }

  private func taskIDs(_ reader: FieldReader) throws(MessageError) -> [TaskID]? {
    guard let values = try reader.optionalArray("task_ids", maxCount: TaskFilter.maxLimit) else { return nil }
    var ids: [TaskID] = []
    for value in values { ids.append(try FieldReader(["task_ids": value]).taskID("task_ids")) }
    return ids
  }

  private func control(_ request: CoordinatorRequest, _ id: JSONValue) {
    runtime.request(request) { [self] answer in
      switch answer {
      case .submitted(let ids): reply(id, ["task_ids": .array(ids.map { .string($0.text) })])
      case .done: reply(id, [:])
      case .refused(let reason): fail(id, "refused", reason)
      case .notLive(let task):
        runtime.task(task) { [self] result in
          switch result {
          case .success(let detail?):
            fail(id, "refused", "task \(task) has already ended: it is \(detail.task.state.status.rawValue)")
          case .success(nil): fail(id, "not_found", "there is no task \(task)")
          case .failure(let error): fail(id, "unavailable", "\(error)")
          }
        }
      }
    }
  }

  private func worker(_ reader: FieldReader) throws(MessageError) -> WorkerID {
    let name = try reader.string("worker_id", maxBytes: 4_096)
    do { return try WorkerID(name) } catch { throw .badValue("worker_id", problem: "\(error)") }
  }

  private func drain(_ worker: WorkerID, _ id: JSONValue) {
    // Another coordinator may know it.
    guard runtime.isShared || runtime.workerSummary(worker) != nil else {
      return fail(id, "not_found", "there is no worker \(worker)")
    }
    control(.drainWorker(worker), id)
  }

  private func retry(_ task: TaskID, _ id: JSONValue) {
    runtime.retry(task) { [self] answer in
      switch answer {
      case .submitted(let new): reply(id, ["task_id": .string(new.text)])
      case .noSuchTask: fail(id, "not_found", "there is no task \(task)")
      case .refused(let reason): fail(id, "refused", reason)
      case .unavailable(let error): fail(id, "unavailable", "\(error)")
      }
    }
  }

  // MARK: Watching

  private func startWatching(_ reader: FieldReader, _ id: JSONValue) throws(MessageError) {
    let run = try reader.optionalString("run", maxBytes: 128)
    let ids = try taskIDs(reader).map(Set.init)
    let wantsOutput = try reader.optionalBool("output") ?? false
    stopWatching()
    watch = runtime.observe(
      isWatching: true, wantsOutput: { wantsOutput && ids?.contains($0) ?? true }
    ) { [weak self] notice in
      switch notice {
      case .taskChanged(let task):
        guard run == nil || task.specification.run == run, ids?.contains(task.id) ?? true else { return }
        self?.push("task_changed", ["task": .object(task.presentation)])
      case .outputAppended(let task, let attempt, let stream, let offset, let bytes):
        guard wantsOutput, ids?.contains(task) ?? true else { return }
        var fields: JSONObject = [
          "task_id": .string(task.text), "attempt": .integer(Int64(attempt)), "stream": .string(stream.rawValue),
          "offset": .integer(Int64(offset)),
        ]
        fields.setBytes(bytes, "data")
        self?.push("task_output", fields)
      default: break
      }
    }
    reply(id, [:])
  }

  var isWatching: Bool { watch != nil }

  private func stopWatching() {
    if let watch { runtime.stopObserving(watch) }
    watch = nil
  }

  private func push(_ kind: CoordinationCore.MessageKind, _ fields: JSONObject) {
    guard let socket else { return }
    guard socket.pendingBytes < Self.maxUnreadBytes else {
      stopWatching()
      return close(
        RetryHint.tryAgainLater,
        RetryHint.reason(.seconds(1), "events were not read fast enough; list the tasks and watch again"))
    }
    send(Message(kind, fields))
  }

  // MARK: Answers

  private func send(_ message: Message) {
    if let socket { buffer.send(message.body, over: socket) }
  }

  private func answer<Value>(
    _ id: JSONValue, _ result: Result<Value, StoreError>, _ fields: (Value) -> JSONObject
  ) {
    switch result {
    case .success(let value): reply(id, fields(value))
    case .failure(let error): fail(id, "unavailable", "\(error)")
    }
  }

  private func reply(_ id: JSONValue, _ fields: JSONObject) {
    var object: JSONObject = ["request_id": id]
    for member in fields.members { object[member.key] = member.value }
    send(Message("reply", object))
    answered()
  }

  private func fail(_ id: JSONValue, _ code: String, _ text: String) {
    send(Message("error", ["request_id": id, "code": .string(code), "message": .string(text)]))
    answered()
  }
}

extension ClientSocket: PeerSocket {
  var name: String { "client \(number)" }
  var reading: SlowReaders<UInt64>.Reading { buffer.reading(of: socket) }
  func drop(_ reason: String) {
    stopWatching()
    close(RetryHint.tryAgainLater, reason)
  }
}
