import ArgumentParsing
import Reactor
import WebSocket

/// What the command line asks for.
struct Options {
  /// Which face of the library serves the connections.
  enum Style: String, CaseIterable {
    case callback
    case async
  }

  /// How permessage-deflate is taken or offered.
  enum Compression: String, CaseIterable {
    case off
    case shared
    case dedicated
  }

  enum Job {
    case serve(SocketAddress)
    /// To be a client of the Autobahn testsuite's fuzzing server.
    case runCases(WebSocketURL, agent: String)
  }

  let job: Job
  let loops: Int
  let style: Style
  /// The limits of every connection, in either role.
  let configuration: WebSocketConfiguration
  /// `nil` without TLS.
  let serverTLS: TLSServerContext?
  /// Whom a client believes; `nil`: the system's authorities.
  let clientTLS: TLSClientContext?

  var scheme: String { serverTLS == nil ? "ws" : "wss" }

  private static let port = Option(
    "port", optional: .integer(0...65_535), "Where to listen; 0 lets the system choose. Required without --client.")
  private static let host = Option(
    "host", .string, default: "127.0.0.1", as: "ADDRESS", "The address to listen on.")
  private static let loops = Option(
    "loops", .integer(1...64), default: 1, "Event loops, each on a thread of its own.")
  private static let style = Option<Style>(
    "style", .choice, default: .callback, as: "STYLE",
    "The face of the library that serves: async is a task a connection.")
  private static let certificate = Option(
    "tls-certificate", optional: .string, as: "FILE",
    "Serve wss:// with this certificate, in PEM, and those between it and its root.")
  private static let key = Option(
    "tls-key", optional: .string, as: "FILE", "The certificate's private key, in PEM, readable by its owner alone.")
  private static let authorities = Option(
    "tls-ca", optional: .string, as: "FILE", whenMissing: "the system's",
    "Whose certificates to believe, in PEM, where --client is wss://.")
  private static let client = Option(
    "client", optional: .string, as: "URL",
    "The fuzzing server of the Autobahn testsuite whose cases to run as a client.")
  private static let agent = Option(
    "agent", .string, default: "websocket-echo", as: "NAME", "What its report is to call this client.")
  private static let maxMessageBytes = Option(
    "max-message-bytes", .integer(0...1_073_741_824), default: 16_777_216, as: "BYTES", "The longest message.")
  private static let compression = Option<Compression>(
    "compression", .choice, default: .off, as: "CONTEXTS", "permessage-deflate, with contexts of this kind.")
  private static let windowBits = Option(
    "window-bits", .integer(9...15), default: 15,
    "The largest window to compress and inflate with, as its binary logarithm.")
  private static let memoryLevel = Option(
    "memory-level", .integer(1...9), default: 8, "zlib's memory for finding repetitions.")

  static let command = Command(
    "websocket-echo", "sends every WebSocket message back as it came",
    details: [
      "SIGTERM or SIGINT closes the connections and exits; a second one exits at once.",
      "With --client it is the client under test of the Autobahn testsuite instead, and exits after its last case.",
    ],
    sections: [
      OptionSection("Serving", [port, host, loops, style, certificate, key]),
      OptionSection("Being tested as a client", [client, agent, authorities]),
      OptionSection("Both", [maxMessageBytes, compression, windowBits, memoryLevel]),
    ],
    examples: [
      Example("websocket-echo --port 9001", "serve on the loopback interface"),
      Example("websocket-echo --port 9001 --compression shared", "the same with permessage-deflate"),
      Example(
        "websocket-echo --port 9001 --tls-certificate certs/server.pem --tls-key certs/server-key.pem",
        "the same over TLS, with what lifeline certs makes"),
    ])

  init(_ invocation: Invocation) throws(UsageError) {
    loops = invocation[Self.loops]
    style = invocation[Self.style]
    var configuration = WebSocketConfiguration()
    configuration.maxFrameBytes = invocation[Self.maxMessageBytes]
    configuration.maxMessageBytes = invocation[Self.maxMessageBytes]
    configuration.maxPendingBytes = invocation[Self.maxMessageBytes] + 64 * 1024 * 1024
    configuration.compression = Self.chosenCompression(invocation)
    self.configuration = configuration
    job = try Self.chosenJob(invocation)
    switch (invocation[Self.certificate], invocation[Self.key]) {
    case (nil, nil): serverTLS = nil
    case (nil, _?), (_?, nil): throw invocation.error("--tls-certificate and --tls-key need each other")
    case (let certificate?, let key?):
      let tls = TLSServerConfiguration(certificateChainFile: certificate, privateKeyFile: key)
      do throws(TLSConfigurationError) { serverTLS = try TLSServerContext(tls) } catch {
        throw invocation.error("\(error)")
      }
    }
    clientTLS = try invocation[Self.authorities].map { file throws(UsageError) in
      var tls = TLSClientConfiguration()
      tls.caFile = file
      do throws(TLSConfigurationError) { return try TLSClientContext(tls) } catch {
        throw invocation.error("--tls-ca: \(error)")
      }
    }
  }

  private static func chosenCompression(_ invocation: Invocation) -> CompressionConfiguration? {
    var chosen: CompressionConfiguration
    switch invocation[compression] {
    case .off: return nil
    case .shared: chosen = CompressionConfiguration(context: .shared)
    case .dedicated: chosen = CompressionConfiguration(context: .dedicated)
    }
    chosen.maxOutgoingWindowBits = invocation[windowBits]
    chosen.maxIncomingWindowBits = invocation[windowBits]
    chosen.memoryLevel = invocation[memoryLevel]
    return chosen
  }

  private static func chosenJob(_ invocation: Invocation) throws(UsageError) -> Job {
    switch (invocation[port], invocation[client]) {
    case (_?, _?): throw invocation.error("--port and --client exclude each other")
    case (nil, nil): throw invocation.error("--port is missing")
    case (let port?, nil):
      let host = invocation[Self.host]
      guard let address = SocketAddress(ip: host, port: UInt16(truncatingIfNeeded: port)) else {
        throw invocation.error("--host: expected an address such as 127.0.0.1 or ::1, not \"\(host)\"")
      }
      return .serve(address)
    case (nil, let text?):
      let agent = invocation[Self.agent]
      guard agent.utf8.allSatisfy(isUnreserved) else {
        throw invocation.error("--agent: expected letters, digits and -._~, not \"\(agent)\"")
      }
      do throws(WebSocketURL.ParseError) {
        return .runCases(try WebSocketURL(text), agent: agent)
      } catch {
        throw invocation.error("--client: expected a URL such as ws://127.0.0.1:9001, not \"\(text)\": \(error)")
      }
    }
  }

  /// What stands in a URL's query as it is (RFC 3986 §2.3).
  private static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
      true
    default: false
    }
  }
}
