import CoordinationCore

/// Reliable messages of a service author's kind, which show whether anything is handled twice or out of order.
final class ProbeLog {
  private(set) var handled: [String: [Int]] = [:]
  private(set) var violations: [String] = []
  var count: Int { handled.values.reduce(0) { $0 + $1.count } }

  func note(_ number: Int, session: String) {
    if let last = handled[session]?.last, number <= last {
      violations.append("probe \(number) handled after \(last) in session \(session)")
    }
    handled[session, default: []].append(number)
  }
}

struct ProbeHandler: MessageHandler {
  static let kinds: [MessageKind] = ["probe"]
  let log: ProbeLog
  /// Whose sessions these are.
  var run = ""

  func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let number = try message.reader.integer("number", in: 1...1_000_000)
    log.note(number, session: "\(run)/\(context.worker?.sessionID?.text ?? "none")")
    context.send("probe_ack", ["number": .integer(Int64(number))])
  }
}
