import WebSocket

/// What the command line asks for.
struct Options: Equatable {
  var host = "127.0.0.1"
  var port: UInt16?
  var loops = 1
  var maxMessageBytes = 16 * 1024 * 1024
  /// The fuzzing server to be a client of, instead of serving.
  var client: WebSocketURL?
  var agent = "websocket-echo"

  static let version = "websocket-echo 0.1.0"

  static let help = """
    Usage: websocket-echo --port P [--host H] [--loops N] [--max-message-bytes B]
           websocket-echo --client URL [--agent NAME] [--max-message-bytes B]

    Sends every WebSocket message back as it came, text as text and binary as binary; with --client, as the client
    under test of the Autobahn testsuite's fuzzing server.

      --port P               port to listen on, 0 to 65535; 0 lets the system choose
      --host H               address to listen on (127.0.0.1)
      --loops N              event loops, each on a thread of its own, 1 to 64 (1)
      --max-message-bytes B  longest message, up to 1073741824 (16777216)
      --client URL           ws://HOST:PORT of the fuzzing server whose cases to run
      --agent NAME           what its report is to call this client: letters, digits and -._~ (websocket-echo)
      --help                 show this and exit
      --version              show the version and exit

    SIGTERM or SIGINT closes the connections and exits; a second one exits at once.
    """

  /// A command line that cannot be followed; the text says what to do.
  struct UsageError: Error {
    let message: String
  }

  enum Request: Equatable {
    case serve(Options)
    /// Be a client of the fuzzing server at this URL.
    case run(Options, WebSocketURL)
    case show(String)
  }

  private static let names = [
    "--port", "--host", "--loops", "--max-message-bytes", "--client", "--agent", "--help", "--version",
  ]

  static func parse(_ arguments: [String]) throws(UsageError) -> Request {
    var options = Options()
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts.first ?? "")
      guard names.contains(name) else {
        throw UsageError(message: "unknown option \(name); the options are \(names.joined(separator: ", "))")
      }
      if name == "--help" { return .show(help) }
      if name == "--version" { return .show(version) }
      guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
        throw UsageError(message: "option \(name) needs a value")
      }
      switch name {
      case "--port": options.port = try number(name, value, in: 0...UInt16.max)
      case "--loops": options.loops = try number(name, value, in: 1...64)
      case "--max-message-bytes": options.maxMessageBytes = try number(name, value, in: 0...1 << 30)
      case "--client": options.client = try url(name, value)
      case "--agent": options.agent = try agent(name, value)
      default: options.host = value
      }
    }
    if let client = options.client {
      guard options.port == nil else { throw UsageError(message: "options --port and --client exclude each other") }
      return .run(options, client)
    }
    guard options.port != nil else { throw UsageError(message: "option --port is missing") }
    return .serve(options)
  }

  private static func number<Number: FixedWidthInteger>(
    _ name: String, _ text: String, in range: ClosedRange<Number>
  ) throws(UsageError) -> Number {
    guard let value = Number(text), range.contains(value) else {
      throw UsageError(
        message: "option \(name) takes a number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
    }
    return value
  }

  private static func url(_ name: String, _ text: String) throws(UsageError) -> WebSocketURL {
    do {
      return try WebSocketURL(text)
    } catch {
      throw UsageError(message: "option \(name) takes a URL such as ws://127.0.0.1:9001, not \"\(text)\": \(error)")
    }
  }

  /// A name that stands in a URL's query as it is (RFC 3986 §2.3).
  private static func agent(_ name: String, _ text: String) throws(UsageError) -> String {
    let isUnreserved = { (byte: UInt8) in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        true
      default: false
      }
    }
    guard !text.isEmpty, text.utf8.allSatisfy(isUnreserved) else {
      throw UsageError(message: "option \(name) takes letters, digits and -._~, not \"\(text)\"")
    }
    return text
  }
}
