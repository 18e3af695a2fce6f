import CoordinationCore
import Primitives
import Terminal

/// What a task's JSON object says, as people read it. A member that is missing reads as empty.
struct TaskText {
  let task: JSONObject

  init(_ task: JSONObject) {
    self.task = task
  }

  var id: String { text("task_id") }
  var name: String { text("name") }
  var status: String { text("status") }
  var attempt: String { text("attempt") }
  var worker: String { text("worker_id") }
  var exitCode: String { text("exit_code") }

  var isEnded: Bool { TaskStatus(rawValue: status)?.isTerminal ?? false }

  func text(_ member: String) -> String {
    switch task[member] {
    case nil, .null?: ""
    case .string(let text)?: text
    case let value?: value.text
    }
  }

  var emphasis: TextStyle.Emphasis {
    switch status {
    case "completed": .green
    case "failed": .red
    case "cancelled", "paused": .yellow
    case "running": .cyan
    default: .none
    }
  }

  /// From start to end, or `nil` while either is missing.
  var duration: Duration? {
    guard let start = task["started_at"]?.string.flatMap(TimeText.milliseconds),
      let end = task["finished_at"]?.string.flatMap(TimeText.milliseconds)
    else { return nil }
    return .milliseconds(max(0, end - start))
  }

  var progress: String { task["progress"]?.number.map { "\(Int(($0 * 100).rounded()))%" } ?? "" }

  /// A name in the first column, aligned by the longest status.
  var verdict: String {
    switch status {
    case "completed": "ok"
    case "failed": "FAILED"
    default: status.uppercased()
    }
  }
}

/// Times as people read them.
enum TimeText {
  /// The milliseconds since 1970 of `2026-11-23T12:34:56.789Z`; `nil` for anything else.
  static func milliseconds(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count == 24, bytes[10] == UInt8(ascii: "T"), bytes[23] == UInt8(ascii: "Z") else { return nil }
    func number(_ range: Range<Int>) -> Int64? {
      var value: Int64 = 0
      for byte in bytes[range] {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int64(byte - UInt8(ascii: "0"))
      }
      return value
    }
    guard let year = number(0..<4), let month = number(5..<7), (1...12).contains(month), let day = number(8..<10),
      let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19), let rest = number(20..<23)
    else { return nil }
    // Years are counted from March, so that the leap day is the last of its year.
    let marchYear = month > 2 ? year : year - 1
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    let days = 365 * marchYear + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719_468
    return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + rest
  }

  /// `2026-11-23 12:34:56Z` of an ISO 8601 time.
  static func short(_ text: String) -> String {
    guard milliseconds(text) != nil else { return text }
    return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8))Z"
  }

  /// `0.012 s`, `1.53 s`, `45.0 s`, `2 min 5 s`.
  static func short(_ duration: Duration) -> String {
    let milliseconds = max(0, duration.wholeMilliseconds)
    if milliseconds < 1_000 { return "0.\(padded(milliseconds, 3)) s" }
    if milliseconds < 10_000 { return "\(milliseconds / 1_000).\(padded(milliseconds % 1_000 / 10, 2)) s" }
    if milliseconds < 60_000 { return "\(milliseconds / 1_000).\(milliseconds % 1_000 / 100) s" }
    let seconds = milliseconds / 1_000
    if seconds < 3_600 { return "\(seconds / 60) min \(seconds % 60) s" }
    return "\(seconds / 3_600) h \(seconds / 60 % 60) min"
  }

  /// Seconds with three digits after the point.
  static func seconds(_ duration: Duration) -> String {
    let milliseconds = max(0, duration.wholeMilliseconds)
    return "\(milliseconds / 1_000).\(padded(milliseconds % 1_000, 3))"
  }

  private static func padded(_ number: Int64, _ width: Int) -> String {
    let digits = "\(number)"
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
