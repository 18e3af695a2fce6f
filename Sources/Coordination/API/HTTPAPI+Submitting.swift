import Authentication
import CoordinationCore
import Storage
import WebSocketCore

extension HTTPAPI {
  /// Submissions with a key that are worked on at once.
  private static let maxKeysInUse = 1_000

  func submit(_ body: SubmissionBody, _ key: IdempotencyKey?, _ identity: Identity?, _ reply: APIReply) {
    guard !runtime.isDraining else {
      return reply.problem(.unavailable("the coordinator is shutting down", retryAfter: Self.fullRetryAfter))
    }
    guard !runtime.isHeldBack else {
      return reply.problem(.unavailable("the store is behind with what it was given", retryAfter: Self.busyRetryAfter))
    }
    runtime.took(reply.bodyBytes)
    guard let key else { return submit(body.tasks, isList: body.isList, reply) {} }
    let owner = identity?.name ?? ""
    let stem = key.stem(owner)
    let tasks = key.named(body.tasks, owner: owner)
    if let other = keysInUse[stem] {
      let problem =
        other == tasks
        ? APIProblem(.conflict, "the first request with this key has no answer yet", field: "Idempotency-Key")
        : Self.keyReused
      return reply.problem(problem)
    }
    guard keysInUse.count < Self.maxKeysInUse else {
      return reply.problem(
        .unavailable("\(Self.maxKeysInUse) such requests are being worked on", retryAfter: Self.busyRetryAfter))
    }
    keysInUse[stem] = tasks
    let names = tasks.compactMap(\.id) + [key.taskID(owner: owner, index: tasks.count)]
    runtime.tasks(named: names) { [self] result in
      switch result {
      case .failure(let error):
        keysInUse[stem] = nil
        reply.problem(Self.problem(error))
      case .success(let found):
        let known = Dictionary(found.map { ($0.id, $0.specification) }) { first, _ in first }
        guard IdempotencyKey.judge(tasks, known: known) != .different else {
          keysInUse[stem] = nil
          return reply.problem(Self.keyReused)
        }
        // Where all of them exist, this changes nothing, and answers once they are durable.
        submit(tasks, isList: body.isList, reply) { [self] in keysInUse[stem] = nil }
      }
    }
  }

  private static let keyReused = APIProblem(
    .keyReused, "an earlier request with this key had another body; take a new key for a new request",
    field: "Idempotency-Key")

  private func submit(_ tasks: [TaskSubmission], isList: Bool, _ reply: APIReply, _ finally: @escaping () -> Void) {
    runtime.request(.submit(tasks)) { answer in
      finally()
      switch answer {
      case .submitted(let ids):
        if !isList, let id = ids.first { return Self.created(id, reply) }
        reply.json(["task_ids": .array(ids.map { .string($0.text) })], status: 201)
      case .refused(let reason): reply.problem(.unavailable(reason, retryAfter: Self.fullRetryAfter))
      case .done, .notLive: reply.problem(.unavailable("unexpected answer", retryAfter: Self.busyRetryAfter))
      }
    }
  }

  private static func created(_ id: TaskID, _ reply: APIReply) {
    let location = "\(APIOperation.prefix)/tasks/\(PercentEncoding.encoded(segment: id.text))"
    reply.json(["task_id": .string(id.text)], status: 201, headers: ["Location": location])
  }

  func retry(_ id: TaskID, _ reply: APIReply) {
    guard !runtime.isDraining else {
      return reply.problem(.unavailable("the coordinator is shutting down", retryAfter: Self.fullRetryAfter))
    }
    runtime.retry(id) { answer in
      switch answer {
      case .submitted(let new): Self.created(new, reply)
      case .noSuchTask: reply.problem(.notFound("there is no task \(id)"))
      case .refused(let reason): reply.problem(APIProblem(.conflict, reason))
      case .unavailable(let error): reply.problem(Self.problem(error))
      }
    }
  }

  static func problem(_ error: StoreError) -> APIProblem { .unavailable("\(error)", retryAfter: busyRetryAfter) }
}
