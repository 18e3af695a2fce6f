public import CoordinationCore
import Primitives

/// Tasks and workers as clients see them: the objects of `README.md`'s client protocol.
extension TaskRecord {
  public var presentation: JSONObject {
    var object: JSONObject = [
      "task_id": .string(id.text), "name": .string(specification.name), "status": .string(state.status.rawValue),
      "exit_code": JSONValue(state.exitCode), "attempt": .integer(Int64(state.attempt)),
      "worker_id": JSONValue(state.workerID?.text), "submitted_at": .string(submittedAt.iso8601),
      "started_at": JSONValue(state.startedAt?.iso8601), "finished_at": JSONValue(state.finishedAt?.iso8601),
      "reason": JSONValue(state.reason), "progress": state.progress.map(JSONValue.number) ?? .null,
      "result": state.result ?? .null, "run": JSONValue(specification.run),
      "priority": .string(specification.priority.name), "failed_attempts": .integer(Int64(state.failedAttempts)),
    ]
    for member in specification.testMembers.members { object[member.key] = member.value }
    switch specification.work {
    case .command(let command): object["command"] = .array(command.arguments.map(JSONValue.string))
    case .custom(let kind, let input):
      object["kind"] = .string(kind)
      object["input"] = .object(input)
    }
    if !specification.requirements.isEmpty { object["requires"] = .object(specification.requirements.json) }
    if specification.slots != 1 { object["slots"] = .integer(Int64(specification.slots)) }
    return object
  }
}

extension TaskDetail {
  /// The task with its newest attempt's output (while that has none and has not ended, the output of the one before),
  /// its checkpoints, and every attempt with its reason.
  public var presentation: JSONObject {
    var object = task.presentation
    let shown = shownOutput
    object.setBytes(shown.stdout, "stdout")
    object.setBytes(shown.stderr, "stderr")
    object["dropped_bytes"] = .integer(Int64(shown.droppedBytes))
    object["checkpoints"] = .array(checkpoints.map { .object($0.presentation) })
    object["attempts"] = .array(attempts.map { .object($0.presentation) })
    return object
  }

  /// The newest attempt's output, or the one before's while that has none and has not ended.
  var shownOutput: AttemptOutput {
    let newest = attempts.last { $0.attempt == task.state.attempt }
    // One that ended by itself and wrote nothing must not be given the words of one that was lost.
    let earlier = newest?.endedByItself == true ? nil : output.max { $0.key < $1.key }?.value
    return output[task.state.attempt] ?? earlier ?? AttemptOutput()
  }
}

extension CheckpointRecord {
  var presentation: JSONObject {
    [
      "attempt": .integer(Int64(key.attempt)), "number": .integer(Int64(key.number)),
      "created_at": .string(createdAt.iso8601), "data": data,
    ]
  }
}

extension AttemptRecord {
  fileprivate var endedByItself: Bool {
    switch outcome {
    case .completed, .failed, .cancelled: true
    default: false
    }
  }

  var presentation: JSONObject {
    [
      "attempt": .integer(Int64(attempt)), "worker_id": .string(workerID.text), "outcome": .string(outcome.rawValue),
      "reason": .string(reason), "exit_code": JSONValue(exitCode), "started_at": .string(startedAt.iso8601),
      "ended_at": JSONValue(endedAt?.iso8601),
      "resumed_from": resumedFrom.map {
        ["attempt": .integer(Int64($0.attempt)), "number": .integer(Int64($0.number))]
      } ?? .null,
    ]
  }
}

extension TestRecord {
  public var presentation: JSONObject {
    [
      "suite": .string(name.suite), "test": .string(name.test), "duration_s": duration.map(JSONValue.duration) ?? .null,
      "runs": .integer(Int64(runs)), "killed_workers": .integer(Int64(fate?.kills ?? 0)),
      "quarantined": .bool(fate?.isQuarantined ?? false), "reason": JSONValue(fate?.reason),
      "changed_at": JSONValue(fate?.changedAt.iso8601),
    ]
  }
}

extension WorkerSummary {
  public var presentation: JSONObject { presentation(withTelemetry: false) }

  /// With what the worker last said about itself, and when.
  func presentation(withTelemetry: Bool) -> JSONObject {
    var object: JSONObject = [
      "worker_id": .string(id.text), "state": .string(state.rawValue), "mode": JSONValue(mode?.rawValue),
      "session_id": JSONValue(sessionID?.text), "slots": .integer(Int64(slots)),
      "kinds": .array(kinds.map(JSONValue.string)), "labels": .object(labels.json),
      "active_tasks": .array(activeTasks.map { .string($0.text) }),
      "connected_at": JSONValue(connectedAt?.iso8601), "reconnections": .integer(Int64(reconnections)),
      "remote_address": JSONValue(remoteAddress), "rtt_s": roundTrip.map(JSONValue.duration) ?? .null,
      "refused_writes": .integer(Int64(refusedWrites)),
    ]
    if withTelemetry {
      object["telemetry"] = telemetry.map { .object($0.fields) } ?? .null
      object["telemetry_at"] = JSONValue(telemetry?.receivedAt.iso8601)
    }
    return object
  }
}

extension JSONObject {
  /// Text where the bytes are UTF-8, base64 under `name_base64` where they are not.
  mutating func setBytes(_ bytes: [UInt8], _ name: String) {
    for member in OutputText.members(bytes, name).members { self[member.key] = member.value }
  }
}
