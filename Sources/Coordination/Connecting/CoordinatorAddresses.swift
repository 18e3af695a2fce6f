public import WebSocket

/// Where coordinators are: one address, or several separated by commas, of which any will do.
public struct CoordinatorAddresses: Equatable, Sendable {
  /// Each is dialled at some time; more would only make the last ones wait.
  public static let maxCount = 64

  /// At least one; their targets mean nothing.
  public let urls: [WebSocketURL]

  /// An address that is no such thing, or cannot stand beside the others.
  public struct Problem: Error, Equatable, CustomStringConvertible {
    public let address: String
    public let problem: String
    public var description: String { "the coordinator's address \(address) is wrong: \(problem)" }
  }

  /// Throws unless each is of the form `ws://HOST:PORT`, or each of the form `wss://HOST:PORT`, and none is there twice.
  public init(_ text: String) throws(Problem) {
    var urls: [WebSocketURL] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let address = String(part.trimmingSpaces)
      guard !address.isEmpty || text.isEmpty else {
        throw Problem(address: text, problem: "between two commas, or beside one, is no address")
      }
      let url: WebSocketURL
      do { url = try WebSocketURL(address) } catch {
        throw Problem(address: address, problem: "\(error); expected ws://HOST:PORT or wss://HOST:PORT")
      }
      guard !urls.contains(where: { $0.host.lowercased() == url.host.lowercased() && $0.port == url.port }) else {
        throw Problem(address: address, problem: "it is in the list twice")
      }
      if let first = urls.first, first.isSecure != url.isSecure {
        throw Problem(
          address: address,
          problem: "\(first.address) is in the same list; use ws:// for all or wss:// "
            + "for all, so that none of them is spoken to with less protection than the others")
      }
      urls.append(url)
      guard urls.count <= Self.maxCount else {
        throw Problem(address: address, problem: "a list has at most \(Self.maxCount) addresses")
      }
    }
    self.urls = urls
  }

  /// The same coordinators, asked for this path.
  package func targeting(_ target: String) throws(Problem) -> [WebSocketURL] {
    var targeted: [WebSocketURL] = []
    for url in urls {
      do {
        targeted.append(try WebSocketURL(host: url.host, port: url.port, target: target, isSecure: url.isSecure))
      } catch { throw Problem(address: url.address, problem: "\(error)") }
    }
    return targeted
  }
}

extension WebSocketURL {
  /// Without the target: `ws://HOST:PORT`.
  package var address: String { "\(isSecure ? "wss" : "ws")://\(hostField)" }
}

extension Substring {
  fileprivate var trimmingSpaces: Substring {
    var text = drop { $0 == " " }
    while text.last == " " { text.removeLast() }
    return text
  }
}
