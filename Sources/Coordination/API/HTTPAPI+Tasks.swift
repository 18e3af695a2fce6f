import CoordinationCore
import Storage
import WebSocketCore

extension HTTPAPI {
  func list(_ filter: TaskFilter, _ reply: APIReply) {
    runtime.tasks(matching: filter) { [self] result in
      switch result {
      case .failure(let error): reply.problem(Self.problem(error))
      case .success(let tasks):
        // A full page may be the last one; the next is empty then.
        let next = tasks.count == filter.limit ? tasks.last.map { TaskListQuery.cursor(after: $0.id) } : nil
        runtime.presentations(of: tasks) { tasks in
          reply.json(["tasks": .array(tasks.map(JSONValue.object)), "next_cursor": JSONValue(next)])
        }
      }
    }
  }

  func show(_ id: TaskID, _ reply: APIReply) {
    cache.task(id) { [self] result in
      switch result {
      case .failure(let error): reply.problem(Self.problem(error))
      case .success(nil): reply.problem(.notFound("there is no task \(id)"))
      case .success(let task?):
        withObstacle(to: id, task.needs) { obstacle in
          reply.send(APIResponse.json(Self.text(task.text, waitingFor: obstacle)))
        }
      }
    }
  }

  /// What a queued task waits for changes with the fleet and not with the task.
  private func withObstacle(to id: TaskID, _ needs: TaskNeeds?, _ body: @escaping (String?) -> Void) {
    guard let needs else { return body(nil) }
    guard runtime.isShared else { return body(runtime.obstacle(to: id)) }
    runtime.obstacles(to: [needs]) { body($0[needs]) }
  }

  /// So it is put into the text that is kept.
  private static func text(_ text: [UInt8], waitingFor obstacle: String?) -> [UInt8] {
    guard let obstacle, let end = text.lastIndex(of: UInt8(ascii: "}")) else { return text }
    return text[..<end] + Array(#","waiting_for":\#(JSONValue.string(obstacle).text)"#.utf8) + text[end...]
  }

  func control(_ request: CoordinatorRequest, _ id: TaskID, _ reply: APIReply) {
    runtime.request(request) { [self] answer in
      switch answer {
      case .done, .submitted: reply.json(["task_id": .string(id.text)], status: 202)
      case .refused(let reason): reply.problem(APIProblem(.conflict, reason))
      case .notLive:
        detail(id, reply) { detail in
          let status = detail.task.state.status.rawValue
          reply.problem(APIProblem(.conflict, "task \(id) has already ended: it is \(status)"))
        }
      }
    }
  }

  func result(_ id: TaskID, _ reply: APIReply) {
    detail(id, reply) { detail in
      guard detail.task.state.status.isTerminal else {
        let status = detail.task.state.status.rawValue
        return reply.problem(APIProblem(.conflict, "task \(id) has not ended: it is \(status)"))
      }
      reply.json(detail.outcome)
    }
  }

  func checkpoints(_ id: TaskID, _ reply: APIReply) {
    detail(id, reply) { detail in
      reply.json(["checkpoints": .array(detail.checkpoints.map { .object($0.summary) })])
    }
  }

  func checkpoint(_ reference: CheckpointReference, of id: TaskID, _ reply: APIReply) {
    detail(id, reply) { detail in
      guard let checkpoint = reference.find(in: detail.checkpoints) else {
        return reply.problem(.notFound("task \(id) has no such checkpoint; the oldest of many are not kept"))
      }
      var body: [UInt8] = []
      checkpoint.data.write(into: &body)
      body.append(UInt8(ascii: "\n"))
      // An id has no character that a quoted text could not have.
      let name = "attachment; filename=\"\(id)-\(checkpoint.key).json\""
      reply.send(APIResponse.json(body, headers: ["Content-Disposition": name]))
    }
  }

  /// Calls `body` with everything about a task, or says why not.
  func detail(_ id: TaskID, _ reply: APIReply, _ body: @escaping (TaskDetail) -> Void) {
    runtime.task(id) { result in
      switch result {
      case .failure(let error): reply.problem(Self.problem(error))
      case .success(nil): reply.problem(.notFound("there is no task \(id)"))
      case .success(let detail?): body(detail)
      }
    }
  }
}
