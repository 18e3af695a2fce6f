public import CoordinationCore
import Primitives
import Glibc
import Primitives

/// What a run found out.
public enum LoadResult {
  case echo(EchoResult)
  case idle(IdleResult)
  case accept(AcceptResult)

  public var lines: [String] {
    switch self {
    case .echo(let result): result.lines
    case .idle(let result): result.lines
    case .accept(let result): result.lines
    }
  }

  public var json: JSONObject {
    switch self {
    case .echo(let result): result.json
    case .idle(let result): result.json
    case .accept(let result): result.json
    }
  }
}

/// Which side had no time left; then the other could have done more.
public enum Bottleneck: String, Sendable {
  case server, generator
  /// Neither: messages wait for round trips.
  case neither
  /// The server's processor time is not known.
  case unknown

  /// The share of the time from which a side counts as busy all the time.
  public static let threshold = 0.95

  /// - Parameters: the share of the time in which each side ran, or would have if others had not had its core; the
  ///   server's is `nil` if it is not known.
  public init(serverBusy: Double?, generatorBusy: Double) {
    guard let serverBusy else {
      self = generatorBusy >= Self.threshold ? .generator : .unknown
      return
    }
    self = serverBusy >= Self.threshold ? .server : generatorBusy >= Self.threshold ? .generator : .neither
  }
}

/// Of messages to and fro.
public struct EchoResult {
  let window: EchoLoad.Window
  let generator: ObservedProcess.ProcessorTime
  let server: ObservedProcess.ProcessorTime?
  let serverCores: Int

  public var messages: UInt64 { window.messages }
  public var verified: UInt64 { window.verified }

  var seconds: Double { Double(window.nanoseconds) / 1e9 }
  var messagesPerSecond: Double { Double(window.messages) / seconds }
  var generatorUse: Double { share(generator.total) }
  var generatorBusy: Double { share(generator.total + generator.delayed) }
  var serverUse: Double? { server.map { share($0.total) / Double(serverCores) } }
  var serverBusy: Double? { server.map { share($0.total + $0.delayed) / Double(serverCores) } }
  var bottleneck: Bottleneck { Bottleneck(serverBusy: serverBusy, generatorBusy: generatorBusy) }

  private func share(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / Double(window.nanoseconds) }

  var messagesPerServerSecond: Double? { server.map { Double(window.messages) / (Double($0.total) / 1e9) } }
  var userNanosecondsPerMessage: Double? {
    server.map { Double($0.total) * $0.userShare / Double(window.messages) }
  }
  var replyBytesPerMessage: Double { Double(window.payloadBytes) / Double(window.messages) }

  private static let percentiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)]

  var lines: [String] {
    let latencies =
      Self.percentiles.map { name, fraction in "\(name) \(microseconds(window.latency.percentile(fraction)))" }
      + ["max \(microseconds(window.latency.maximum))"]
    var lines = [
      "messages    \(grouped(messagesPerSecond)) /s, \(grouped(Double(window.messages))) in \(decimal(seconds, 2)) s",
      "bytes       \(grouped(Double(window.sentBytes) / seconds)) /s out, "
        + "\(grouped(Double(window.receivedBytes) / seconds)) /s in; \(decimal(replyBytesPerMessage, 1)) of payload an answer",
      "latency     \(latencies.joined(separator: "  ")) µs (up to 1/128 high)",
      "checked     every length, and the bytes of \(grouped(Double(window.verified))) answers",
      "generator   \(decimal(Double(generator.total) / 1e9, 3)) CPU s, \(decimal(100 * generatorUse, 1)) % of a core; "
        + "busy \(decimal(100 * generatorBusy, 1)) % of the time",
    ]
    if let server, let perSecond = messagesPerServerSecond, let user = userNanosecondsPerMessage, let serverUse,
      let serverBusy
    {
      let total = Double(server.total) / 1e9
      lines.append(
        "server      \(decimal(total, 3)) CPU s (user \(decimal(total * server.userShare, 3)), system "
          + "\(decimal(total * (1 - server.userShare), 3))), \(decimal(100 * serverUse, 1)) % of its "
          + (serverCores == 1 ? "core" : "\(serverCores) cores")
          + "; busy \(decimal(100 * serverBusy, 1)) % of the time")
      lines.append(
        "            \(grouped(perSecond)) messages per CPU second, \(decimal(user, 0)) ns in user mode per message")
    }
    lines.append("bottleneck  \(bottleneck.rawValue)")
    return lines
  }

  var json: JSONObject {
    var latency: JSONObject = [:]
    for (name, fraction) in Self.percentiles {
      latency[name] = .integer(Int64(clamping: window.latency.percentile(fraction) ?? 0))
    }
    latency["max"] = .integer(Int64(clamping: window.latency.maximum))
    var object: JSONObject = [
      "seconds": .number(seconds), "messages": .integer(Int64(clamping: window.messages)),
      "messages_per_second": .number(messagesPerSecond),
      "sent_bytes": .integer(Int64(clamping: window.sentBytes)),
      "received_bytes": .integer(Int64(clamping: window.receivedBytes)),
      "reply_payload_bytes_per_message": .number(replyBytesPerMessage),
      "verified": .integer(Int64(clamping: window.verified)), "latency_ns": .object(latency),
      "generator_cpu_seconds": .number(Double(generator.total) / 1e9), "generator_use": .number(generatorUse),
      "generator_busy": .number(generatorBusy),
      "bottleneck": .string(bottleneck.rawValue),
    ]
    if let server, let perSecond = messagesPerServerSecond, let user = userNanosecondsPerMessage, let serverUse,
      let serverBusy
    {
      let total = Double(server.total) / 1e9
      object["server_cpu_seconds"] = .number(total)
      object["server_user_seconds"] = .number(total * server.userShare)
      object["server_system_seconds"] = .number(total * (1 - server.userShare))
      object["server_use"] = .number(serverUse)
      object["server_busy"] = .number(serverBusy)
      object["messages_per_server_cpu_second"] = .number(perSecond)
      object["server_user_ns_per_message"] = .number(user)
    }
    return object
  }
}

/// Of connections at rest.
public struct IdleResult {
  let connections: Int
  let before: Int
  let after: Int

  var bytesPerConnection: Double { Double(after - before) / Double(connections) }

  var lines: [String] {
    [
      "resident    \(grouped(Double(before))) bytes before, \(grouped(Double(after))) after "
        + "\(grouped(Double(connections))) connections",
      "            \(grouped(bytesPerConnection)) bytes per idle connection",
    ]
  }

  var json: JSONObject {
    [
      "connections": .integer(Int64(connections)), "resident_before": .integer(Int64(before)),
      "resident_after": .integer(Int64(after)), "resident_bytes_per_connection": .number(bytesPerConnection),
    ]
  }
}

/// Of connections that were opened, without their closing.
public struct AcceptResult {
  var connections = 0
  var nanoseconds: UInt64 = 0
  var serverNanoseconds: UInt64 = 0
  var generatorNanoseconds: UInt64 = 0

  var serverMicrosecondsPerConnection: Double { Double(serverNanoseconds) / 1e3 / Double(connections) }

  var lines: [String] {
    [
      "accepted    \(grouped(Double(connections))) connections, "
        + "\(grouped(Double(connections) / (Double(nanoseconds) / 1e9))) /s",
      "server      \(decimal(serverMicrosecondsPerConnection, 2)) CPU µs per accept and upgrade",
      "generator   \(decimal(Double(generatorNanoseconds) / 1e3 / Double(connections), 2)) CPU µs per connection",
    ]
  }

  var json: JSONObject {
    [
      "connections": .integer(Int64(connections)), "seconds": .number(Double(nanoseconds) / 1e9),
      "server_us_per_connection": .number(serverMicrosecondsPerConnection),
      "generator_us_per_connection": .number(Double(generatorNanoseconds) / 1e3 / Double(connections)),
    ]
  }
}

private func microseconds(_ nanoseconds: UInt64?) -> String { decimal(Double(nanoseconds ?? 0) / 1e3, 1) }

/// With `places` digits behind the point.
private func decimal(_ value: Double, _ places: Int) -> String {
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  guard let scaled = Int64(exactly: (value * scale).rounded()) else { return "?" }
  let digits = String(scaled.magnitude)
  let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
  return (scaled < 0 ? "-" : "") + padded.dropLast(places) + (places > 0 ? "." + padded.suffix(places) : "")
}

/// Rounded, with a comma before each three digits.
private func grouped(_ value: Double) -> String {
  guard let whole = Int64(exactly: value.rounded()) else { return "?" }
  var result = ""
  for (index, digit) in String(whole.magnitude).reversed().enumerated() {
    if index > 0, index.isMultiple(of: 3) { result.append(",") }
    result.append(digit)
  }
  return (whole < 0 ? "-" : "") + String(result.reversed())
}
