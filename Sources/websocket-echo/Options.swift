import WebSocket

/// What the command line asks for.
struct Options: Equatable {
  var host = "127.0.0.1"
  var port: UInt16?
  var loops = 1
  var maxMessageBytes = 16 * 1024 * 1024
  /// How permessage-deflate is offered or taken; `nil` means not at all.
  var compression: CompressionConfiguration?
  var style = Style.callback

  /// Which face of the library serves the connections.
  enum Style: String, CaseIterable {
    case callback
    case async
  }

  static let version = "websocket-echo 0.1.0"

  static let help = """
    Usage: websocket-echo --port P [--host H] [OPTION…]

    Sends every WebSocket message back as it came, text as text and binary as binary.

      --port P               port to listen on, 0 to 65535; 0 lets the system choose
      --host H               address to listen on (127.0.0.1)
      --loops N              event loops, each on a thread of its own, 1 to 64 (1)
      --max-message-bytes B  longest message, up to 1073741824 (16777216)
      --compression C        off, or permessage-deflate with contexts that are shared or dedicated (off)
      --window-bits N        the largest window to compress and inflate with, as its binary logarithm, 9 to 15 (15)
      --memory-level N       zlib's memory for finding repetitions, 1 to 9 (8)
      --style S              callback, or async: a task for each connection (callback)
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
    case show(String)
  }

  private static let names = [
    "--port", "--host", "--loops", "--max-message-bytes", "--compression", "--window-bits", "--memory-level", "--style",
    "--help", "--version",
  ]

  static func parse(_ arguments: [String]) throws(UsageError) -> Request {
    var options = Options()
    var windowBits: Int?
    var memoryLevel: Int?
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
      case "--compression":
        guard let context = contexts[value] else {
          throw UsageError(message: "option --compression takes off, shared or dedicated, not \"\(value)\"")
        }
        options.compression = context.map { CompressionConfiguration(context: $0) }
      case "--window-bits": windowBits = try number(name, value, in: 9...15)
      case "--memory-level": memoryLevel = try number(name, value, in: 1...9)
      case "--style":
        guard let style = Style(rawValue: value) else {
          let styles = Style.allCases.map(\.rawValue).joined(separator: " or ")
          throw UsageError(message: "option --style takes \(styles), not \"\(value)\"")
        }
        options.style = style
      default: options.host = value
      }
    }
    if let windowBits {
      options.compression?.maxOutgoingWindowBits = windowBits
      options.compression?.maxIncomingWindowBits = windowBits
    }
    if let memoryLevel { options.compression?.memoryLevel = memoryLevel }
    guard options.port != nil else { throw UsageError(message: "option --port is missing") }
    return .serve(options)
  }

  private static let contexts: [String: CompressionConfiguration.Context?] = [
    "off": nil, "shared": .shared, "dedicated": .dedicated,
  ]

  private static func number<Number: FixedWidthInteger>(
    _ name: String, _ text: String, in range: ClosedRange<Number>
  ) throws(UsageError) -> Number {
    guard let value = Number(text), range.contains(value) else {
      throw UsageError(
        message: "option \(name) takes a number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
    }
    return value
  }
}
