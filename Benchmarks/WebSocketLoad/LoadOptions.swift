public import ArgumentParsing
import WebSocket

/// What `ws-load` is asked for.
public struct LoadOptions: Sendable {
  public enum Mode: Sendable {
    /// Messages go to and fro.
    case echo
    /// Connections are held and do nothing.
    case idle
    /// Connections are opened and closed.
    case accept
  }

  public var mode = Mode.echo
  public var target: LoadTarget
  public var connections = 100
  /// Bytes of a message's payload.
  public var size = 20
  /// Messages in flight on each connection.
  public var depth = 1
  public var duration = Duration.seconds(5)
  public var warmUp = Duration.seconds(1)
  public var kind = LoadPayload.Kind.binary
  public var deflates = false
  /// Compression offers that let both sides keep a context per connection.
  public var keepsContext = false
  /// Messages on each connection before an idle one is weighed.
  public var exchanges = 0
  public var serverPID: Int32?
  /// How many cores the server can use.
  public var serverCores = 1
  public var printsJSON = false

  public init(target: LoadTarget) { self.target = target }

  private static let url = Option(
    required: "url", .string, as: "URL", "The server: ws://127.0.0.1:9001; the host is an address or localhost.")
  private static let connections = Option("connections", .integer(1...50_000), default: 100, "Connections.")
  private static let size = Option(
    "size", .integer(0...16_777_216), default: 20, as: "BYTES", "Payload of a message, before compression.")
  private static let depth = Option("depth", .integer(1...1_024), default: 1, "Messages in flight on a connection.")
  private static let duration = Option(
    "duration", .duration(.milliseconds(10) ... .seconds(3_600)), default: .seconds(5), "How long to measure.")
  private static let warmUp = Option(
    "warmup", .duration(.zero ... .seconds(600)), default: .seconds(1), "How long to run before measuring.")
  private static let text = Option(flag: "text", "Send JSON as text messages.")
  private static let binary = Option(flag: "binary", "Send binary messages: the default without --deflate.")
  private static let deflate = Option(
    flag: "deflate", "Compress by permessage-deflate, without context takeover; text unless --binary is given.")
  private static let takeover = Option(
    flag: "context-takeover", "With --deflate: offer to keep contexts on both sides, in windows of 12 bits.")
  private static let idle = Option(
    flag: "idle", "Open the connections, leave them alone and weigh the server's memory; needs --server-pid.")
  private static let exchanges = Option(
    "exchanges", .integer(0...1_000), default: 0, "With --idle: messages on each connection before it rests.")
  private static let accept = Option(
    flag: "accept", "Open the connections again and again and time the server; needs --server-pid.")
  private static let serverPID = Option(
    "server-pid", optional: .integer(1...4_194_304), as: "PID", "Measure this process as the server.")
  private static let serverCores = Option(
    "server-cores", .integer(1...1_024), default: 1, "How many cores the server may use.")
  private static let allowRemote = Option(flag: "allow-remote", "Permit a target that is not this machine.")
  private static let json = Option(flag: "json", "Print JSON for programs.")

  public static let command = Command(
    "ws-load", "measures a WebSocket echo server under load",
    details: [
      "Every answer's length is checked, and every 64th answer's bytes are; a wrong one ends the run with status 1."
    ],
    sections: [
      OptionSection(
        "Load", [url, connections, size, depth, text, binary, deflate, takeover, duration, warmUp, allowRemote]),
      OptionSection("Other measurements", [idle, exchanges, accept]),
      OptionSection("Result", [serverPID, serverCores, json]),
    ],
    examples: [
      Example("ws-load --url ws://127.0.0.1:9001 --depth 16", "measure pipelined small messages"),
      Example("ws-load --url ws://127.0.0.1:9001 --idle --connections 10000 --server-pid 4711", "weigh connections"),
    ])

  public init(_ invocation: Invocation) throws(UsageError) {
    let url: WebSocketURL
    do throws(WebSocketURL.ParseError) { url = try WebSocketURL(invocation[Self.url]) } catch {
      throw invocation.error("--url: \(error)")
    }
    guard !url.isSecure else { throw invocation.error("--url: only ws:// is measured; bench has rows for TLS") }
    guard let target = LoadTarget(url) else {
      throw invocation.error("--url: \(url.host) is no address; write one such as 127.0.0.1 or [::1]")
    }
    guard target.isLoopback || invocation[Self.allowRemote] else {
      throw invocation.error("--url: \(url.host) is not this machine; add --allow-remote if it may be put under load")
    }
    self.init(target: target)
    connections = invocation[Self.connections]
    size = invocation[Self.size]
    depth = invocation[Self.depth]
    duration = invocation[Self.duration]
    warmUp = invocation[Self.warmUp]
    deflates = invocation[Self.deflate]
    keepsContext = invocation[Self.takeover]
    exchanges = invocation[Self.exchanges]
    serverPID = invocation[Self.serverPID].map(Int32.init)
    serverCores = invocation[Self.serverCores]
    printsJSON = invocation[Self.json]
    guard !(invocation[Self.text] && invocation[Self.binary]) else {
      throw invocation.error("--text and --binary exclude each other")
    }
    kind = invocation[Self.text] || (deflates && !invocation[Self.binary]) ? .text : .binary
    guard deflates || !keepsContext else { throw invocation.error("--context-takeover needs --deflate") }
    switch (invocation[Self.idle], invocation[Self.accept]) {
    case (true, true): throw invocation.error("--idle and --accept exclude each other")
    case (true, false): mode = .idle
    case (false, true): mode = .accept
    case (false, false): mode = .echo
    }
    guard mode == .echo || serverPID != nil else {
      throw invocation.error("--idle and --accept measure the server's process; say which with --server-pid")
    }
    guard mode == .idle || exchanges == 0 else { throw invocation.error("--exchanges needs --idle") }
  }
}
