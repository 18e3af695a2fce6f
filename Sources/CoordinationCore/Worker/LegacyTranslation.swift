import Primitives

/// A worker's messages in the words of the reference, for a coordinator that does not know `lifeline.v1`.
enum LegacyTranslation {
  /// - Returns: `nil` for what the reference has no word for.
  static func fromSession(_ message: Message, worker: WorkerID, at wall: WallTime) -> Message? {
    var fields = JSONObject()
    fields.append("worker_id", .string(worker.text))
    fields.append("timestamp", .string(wall.iso8601WithoutZone()))
    let source = message.fields
    switch message.kind {
    case .registration, .heartbeat, .telemetry, .error, .taskState, .taskPaused, .taskResumed, .taskCancelled,
      .checkpointData, .checkpointError:
      for (key, value) in source.members where key != "attempt" && fields[key] == nil { fields.append(key, value) }
    case .checkpoint:
      // The reference announces a checkpoint and sends its data when asked.
      fields.append("task_id", source["task_id"] ?? .null)
      fields.append("checkpoint_id", .string("\(source["number"]?.integer ?? 0)"))
    case .taskResult:
      fields.append("task_id", source["task_id"] ?? .null)
      let status = source["status"]?.string ?? "completed"
      var result = source["result"]?.object ?? JSONObject()
      if result.isEmpty, let value = source["result"] { result["value"] = value }
      if result["status"] == nil { result["status"] = .string(status) }
      for name in ["exit_code", "stdout", "stderr", "stdout_base64", "stderr_base64"] where result[name] == nil {
        if let value = source[name] { result[name] = value }
      }
      fields.append("result", .object(result))
      if status == "failed" {
        fields.append("error", ["message": source["reason"] ?? "failed", "traceback": ""])
      }
    default: return nil
    }
    return Message(message.kind, fields)
  }
}
