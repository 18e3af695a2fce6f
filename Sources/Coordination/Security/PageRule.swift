import CoordinationCore

/// Which web pages may reach the coordinator: its own, and no other site's.
///
/// A browser asks in the name of whoever sits before it, and it reaches what he reaches: a coordinator on loopback, which
/// needs no keys there. So a request that a page made is taken only where the page came from this coordinator (it says so
/// in `Origin`). Where there are no keys, the name that the coordinator is called by must also be one of its own: another
/// site's name may be made to resolve to this address (DNS rebinding), and its page then asks as if it were ours.
struct PageRule {
  enum Problem: Equatable {
    case foreignOrigin
    case unknownHost
  }

  /// The name that was given as `--host`.
  let listeningHost: String

  /// - Parameter origin: the request's field; programs that are no browsers send none.
  func problem(origin: String?, host: String, needsOwnName: Bool) -> Problem? {
    if let origin, !Self.isSame(origin, host) { return .foreignOrigin }
    return needsOwnName && !isOwnName(host) ? .unknownHost : nil
  }

  static func words(_ problem: Problem) -> String {
    switch problem {
    case .foreignOrigin: "pages of other sites may not ask this coordinator"
    case .unknownHost:
      "without keys the coordinator answers only where it is called by its address, localhost or its --host; "
        + "use one of these, or give it keys"
    }
  }

  /// Whether an origin (RFC 6454 §6.2) is the authority that the request was sent to. The scheme is not compared: TLS may
  /// end before us.
  static func isSame(_ origin: String, _ host: String) -> Bool {
    let usualPort: String
    let rest: Substring
    if let range = origin.prefix(of: "http://") {
      (rest, usualPort) = (range, "80")
    } else if let range = origin.prefix(of: "https://") {
      (rest, usualPort) = (range, "443")
    } else {
      return false
    }
    guard let page = Authority(rest), let ours = Authority(host[...]) else { return false }
    return page.name == ours.name && (page.port ?? usualPort) == (ours.port ?? usualPort)
  }

  private func isOwnName(_ host: String) -> Bool {
    guard let authority = Authority(host[...]) else { return false }
    return authority.isAddress || authority.name == "localhost" || authority.name == listeningHost.lowercased()
  }

  /// `name[:port]`, the name in lower case.
  private struct Authority {
    let name: String
    let port: String?
    /// Whether it needs no name server to be understood.
    let isAddress: Bool

    init?(_ text: Substring) {
      var name = text
      var port: Substring?
      if text.first == "[" {
        guard let end = text.firstIndex(of: "]") else { return nil }
        name = text[...end]
        let rest = text[text.index(after: end)...]
        if rest.first == ":" { port = rest.dropFirst() } else if !rest.isEmpty { return nil }
      } else if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) {
        name = text[..<colon]
        port = text[text.index(after: colon)...]
      }
      guard !name.isEmpty, port.map({ !$0.isEmpty && $0.utf8.allSatisfy(Self.isDigit) }) ?? true else { return nil }
      self.name = name.lowercased()
      self.port = port.map(String.init)
      // No top-level domain is a number, so what ends in one is no name that anybody can register.
      let last = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).last ?? "".utf8[...]
      isAddress = name.utf8.first == UInt8(ascii: "[") || (!last.isEmpty && last.allSatisfy(Self.isDigit))
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
  }
}

extension String {
  /// What follows `prefix`, whose letters are compared without case; `nil` where it is not there.
  fileprivate func prefix(of prefix: String) -> Substring? {
    self.prefix(prefix.count).lowercased() == prefix ? dropFirst(prefix.count) : nil
  }
}
