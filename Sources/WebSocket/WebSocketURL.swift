/// Where a WebSocket server is: `ws://host[:port][/path][?query]`, or the same with `wss` for TLS (RFC 6455 §3).
public struct WebSocketURL: Hashable, Sendable, CustomStringConvertible {
  /// A name or an address; an IPv6 address without its brackets.
  public let host: String
  public let port: UInt16
  /// Path and query, beginning with "/".
  public let target: String
  /// Whether TLS is spoken: the scheme is `wss`.
  public let isSecure: Bool

  /// Why a text is no URL that can be connected to.
  public enum ParseError: Error, Hashable, Sendable {
    case scheme(String)
    case userInformation
    case host(String)
    case port(String)
    case fragment
    case characters
  }

  /// The port is 80, or 443 with TLS, unless given.
  public init(host: String, port: UInt16? = nil, target: String = "/", isSecure: Bool = false) throws(ParseError) {
    guard !host.isEmpty, host.utf8.allSatisfy({ Self.isHostByte($0) || $0 == UInt8(ascii: ":") }) else {
      throw .host(host)
    }
    guard target.hasPrefix("/"), target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .characters }
    guard !target.utf8.contains(UInt8(ascii: "#")) else { throw .fragment }
    self.host = host
    self.port = port ?? Self.usualPort(isSecure)
    self.target = target
    self.isSecure = isSecure
  }

  public init(_ text: String) throws(ParseError) {
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .characters }
    let scheme = text.prefix { $0 != ":" }
    guard text.dropFirst(scheme.count).hasPrefix("://") else { throw .scheme("") }
    let isSecure: Bool
    switch scheme.lowercased() {
    case "ws": isSecure = false
    case "wss": isSecure = true
    default: throw .scheme(String(scheme))
    }
    let rest = text.dropFirst(scheme.count + 3)
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    guard !authority.contains("@") else { throw .userInformation }
    let tail = String(rest.dropFirst(authority.count))
    let (host, port) = try Self.split(authority)
    try self.init(host: host, port: port, target: tail.hasPrefix("/") ? tail : "/" + tail, isSecure: isSecure)
  }

  private static func usualPort(_ isSecure: Bool) -> UInt16 { isSecure ? 443 : 80 }

  /// What the Host field says: the port is left out when it is the usual one.
  public var hostField: String { port == Self.usualPort(isSecure) ? bracketedHost : "\(bracketedHost):\(port)" }

  public var description: String { "\(isSecure ? "wss" : "ws")://\(hostField)\(target)" }

  private var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }

  private static func split(_ authority: Substring) throws(ParseError) -> (host: String, port: UInt16?) {
    var host = authority.prefix { $0 != ":" }
    var rest = authority.dropFirst(host.count)
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { throw .host(String(authority)) }
      host = authority[authority.index(after: authority.startIndex)..<end]
      rest = authority[authority.index(after: end)...]
      guard host.contains(":"),
        host.utf8.allSatisfy({ $0.isHexDigit || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
      else { throw .host(String(authority)) }
    } else if !host.utf8.allSatisfy(isHostByte) {
      throw .host(String(host))
    }
    guard !rest.isEmpty else { return (String(host), nil) }
    let digits = rest.dropFirst()
    guard rest.hasPrefix(":"), digits.utf8.allSatisfy(\.isDigit), let port = UInt16(digits), port > 0 else {
      throw .port(String(digits))
    }
    return (String(host), port)
  }

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."),
      UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: byte.isDigit
    }
  }
}

extension WebSocketURL.ParseError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .scheme(let scheme): "the scheme is \"\(scheme)\", not ws or wss"
    case .userInformation: "a WebSocket URL has no user name or password"
    case .host(let host): "\"\(host)\" is no host name or address"
    case .port(let port): "\"\(port)\" is no port between 1 and 65535"
    case .fragment: "a WebSocket URL has no fragment (#)"
    case .characters: "a URL has only visible ASCII characters; others must be percent-encoded"
    }
  }
}

extension UInt8 {
  fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

  fileprivate var isHexDigit: Bool {
    isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20)
  }
}
