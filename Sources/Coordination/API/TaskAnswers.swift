import CoordinationCore
import Primitives

/// Tasks as the API shows them: the client protocol's objects without what has a path of its own.
extension TaskDetail {
  /// The task, every attempt with its reason, and its checkpoints without their data.
  var summary: JSONObject {
    var object = task.presentation
    object["checkpoints"] = .array(checkpoints.map { .object($0.summary) })
    object["attempts"] = .array(attempts.map { .object($0.presentation) })
    return object
  }

  /// How a task that has ended did so.
  var outcome: JSONObject {
    let task = task.presentation
    var object = JSONObject()
    for name in [
      "task_id", "name", "status", "exit_code", "attempt", "worker_id", "reason", "result", "started_at", "finished_at",
    ] {
      object[name] = task[name]
    }
    return object
  }
}

extension CheckpointRecord {
  /// Everything but the data, and how large they are.
  var summary: JSONObject {
    [
      "id": .string(key.description), "attempt": .integer(Int64(key.attempt)), "number": .integer(Int64(key.number)),
      "created_at": .string(createdAt.iso8601), "bytes": .integer(Int64(data.text.utf8.count)),
    ]
  }
}
