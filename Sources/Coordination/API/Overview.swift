import CoordinationCore
import Primitives

/// What a glance at the coordinator shows; made of what memory has, so that it can be asked for as often as one likes.
struct Overview {
  var wall: WallTime
  var uptime: Duration
  var version: String
  var connectedWorkers: Int
  var knownWorkers: Int
  /// Of all that the store has.
  var tasks: [TaskStatus: Int]
  var queue: QueueStatus
  var statistics: TaskStatistics
  var reconnections: UInt64

  var json: JSONObject {
    var counts = JSONObject()
    for status in TaskStatus.allCases { counts[status.rawValue] = .integer(Int64(tasks[status] ?? 0)) }
    return [
      "time": .string(wall.iso8601), "uptime_s": .duration(uptime), "version": .string(version),
      "workers": ["connected": .integer(Int64(connectedWorkers)), "known": .integer(Int64(knownWorkers))],
      "tasks": .object(counts), "queue": .object(queue.json),
      "totals": [
        "submitted": .integer(Int64(clamping: statistics.submitted)),
        "completed": .integer(Int64(clamping: statistics.completed)),
        "failed": .integer(Int64(clamping: statistics.failed)),
        "cancelled": .integer(Int64(clamping: statistics.cancelled)),
        "reconnections": .integer(Int64(clamping: reconnections)),
      ],
    ]
  }
}
