import CoordinationCore
import Primitives
import Simulation

/// The answer to a capacity question.
struct CapacityReport {
  private let options: CapacityOptions
  private let result: CapacityResult
  private let took: Duration

  init(_ options: CapacityOptions, _ result: CapacityResult, took: Duration) {
    self.options = options
    self.result = result
    self.took = took
  }

  private var rate: Int { Int(result.workerSeconds / max(took.inSeconds, 0.001)) }

  private func percentile(_ share: Double) -> UInt64 { result.reconnections.percentile(share / 100) ?? 0 }

  var text: String {
    let faults = options.faults.map(\.rawValue).joined(separator: ", ")
    let times = [50.0, 90, 99, 99.9].map { "p\($0 == 99.9 ? "99.9" : "\(Int($0))") \(percentile($0)) ms" }
    let coordinators = options.coordinators > 1 ? "\(options.coordinators) coordinators, " : ""
    return """
      \(coordinators)\(result.workers) workers, \(Int(options.duration.inSeconds)) s, \(faults), seed \(options.seed)
      registered at the end       \(result.registered)
      tasks ended                 \(result.ended) of \(result.submitted)
      registered since its start  \(times.joined(separator: ", ")), last \(result.reconnections.maximum) ms (\(result.reconnections.count))
      messages, both ways         \(result.messages), at most \(result.peakMessagesPerSecond) in a second
      coordinator's memory        about \(result.peakBytes >> 20) MiB (an estimate: sockets and store not counted)
      \(clusterText)simulated                   \(Int(result.workerSeconds)) worker-seconds in \(took.wholeMilliseconds) ms: \(rate) in a second

      """
  }

  /// What several coordinators add.
  private var clusterText: String {
    guard !result.coordinators.isEmpty else { return "" }
    var lines: [String] = []
    let back = [50.0, 99].map { "p\(Int($0)) \(result.comebacks.percentile($0 / 100) ?? 0) ms" }.joined(separator: ", ")
    lines.append(
      "back from the first one     \(back), last \(result.comebacks.maximum) ms (\(result.comebacks.count)), "
        + "\(result.missing) not back")
    for (index, share) in result.coordinators.enumerated() {
      let percent = result.registered == 0 ? 0 : share.registered * 100 / result.registered
      lines.append(
        "coordinator \(index + 1)               \(share.registered) workers (\(percent) %), at most "
          + "\(share.peakMessagesPerSecond) messages in a second, about \(share.peakBytes >> 20) MiB")
    }
    let operations = result.storeOperations.sorted { $0.key < $1.key }.map { kind, rate in
      "\(kind) \(rate.total) (\(rate.peakPerSecond))"
    }
    lines.append("asked of the store (peak/s) \(operations.joined(separator: ", "))")
    return lines.map { $0 + "\n" }.joined()
  }

  private var clusterJSON: JSONObject {
    let shares = result.coordinators.map { share -> JSONValue in
      [
        "registered": .integer(Int64(share.registered)), "messages": .integer(Int64(share.messages)),
        "peak_messages_per_second": .integer(Int64(share.peakMessagesPerSecond)),
        "estimated_peak_bytes": .integer(Int64(share.peakBytes)),
      ]
    }
    var store = JSONObject()
    for (kind, rate) in result.storeOperations.sorted(by: { $0.key < $1.key }) {
      store[kind] = [
        "total": .integer(Int64(rate.total)), "peak_per_second": .integer(Int64(rate.peakPerSecond)),
      ]
    }
    return [
      "coordinators": .array(shares),
      "back_ms": [
        "p50": .integer(Int64(clamping: result.comebacks.percentile(0.5) ?? 0)),
        "p99": .integer(Int64(clamping: result.comebacks.percentile(0.99) ?? 0)),
        "max": .integer(Int64(clamping: result.comebacks.maximum)),
        "count": .integer(Int64(clamping: result.comebacks.count)),
      ],
      "not_back": .integer(Int64(result.missing)), "store": .object(store),
    ]
  }

  var json: String {
    var object: JSONObject = [
      "seed": .integer(Int64(clamping: options.seed)), "workers": .integer(Int64(result.workers)),
      "faults": .array(options.faults.map { .string($0.rawValue) }),
      "registered": .integer(Int64(result.registered)), "submitted": .integer(Int64(result.submitted)),
      "ended": .integer(Int64(result.ended)),
      "registration_ms": [
        "p50": .integer(Int64(clamping: percentile(50))), "p90": .integer(Int64(clamping: percentile(90))),
        "p99": .integer(Int64(clamping: percentile(99))),
        "max": .integer(Int64(clamping: result.reconnections.maximum)),
      ],
      "messages": .integer(Int64(result.messages)),
      "peak_messages_per_second": .integer(Int64(result.peakMessagesPerSecond)),
      "estimated_peak_bytes": .integer(Int64(result.peakBytes)), "worker_seconds": .number(result.workerSeconds),
      "seconds": .number(took.inSeconds),
    ]
    if !result.coordinators.isEmpty {
      for member in clusterJSON.members { object[member.key] = member.value }
    }
    return JSONValue.object(object).text
  }
}
