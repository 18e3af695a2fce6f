/// What a path and a method ask for.
enum APIRoute: Equatable {
  /// With the segments that stand for a name, decoded, in their order.
  case operation(APIOperation, [String])
  /// The path is there and takes these only.
  case otherMethods([String])
  case unknown

  private struct Pattern {
    let operation: APIOperation
    /// `nil` stands for any segment.
    let segments: [String?]

    init(_ operation: APIOperation) {
      self.operation = operation
      segments = operation.template.split(separator: "/").map { $0.hasPrefix("{") ? nil : String($0) }
    }

    func names(in path: [Substring]) -> [Substring]? {
      guard path.count == segments.count else { return nil }
      var names: [Substring] = []
      for (expected, found) in zip(segments, path) {
        guard let expected else {
          names.append(found)
          continue
        }
        guard expected == found else { return nil }
      }
      return names
    }
  }

  private static let patterns = APIOperation.allCases.map(Pattern.init)

  static func isBelowPrefix(_ path: String) -> Bool {
    path.hasPrefix(APIOperation.prefix + "/") || path == APIOperation.prefix
  }

  /// - Parameters:
  ///   - method: as sent, such as `GET`; `HEAD` asks for what `GET` does.
  ///   - path: still percent-encoded, without the query.
  init(method: String, path: String) {
    guard Self.isBelowPrefix(path) else {
      self = .unknown
      return
    }
    // By bytes, which is many times faster than by characters.
    let segments = path.utf8.dropFirst(APIOperation.prefix.utf8.count)
      .split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    // What precedes the first slash is empty, and nothing else may be.
    let rest = segments.dropFirst().map { Substring($0) }
    var others: [String] = []
    for pattern in Self.patterns {
      guard let names = pattern.names(in: rest) else { continue }
      let wanted = pattern.operation.method.rawValue.uppercased()
      guard wanted == method || (method == "HEAD" && wanted == "GET") else {
        others += wanted == "GET" ? ["GET", "HEAD"] : [wanted]
        continue
      }
      let decoded = names.compactMap { $0.isEmpty ? nil : PercentEncoding.decoded($0) }
      self = decoded.count == names.count ? .operation(pattern.operation, decoded) : .unknown
      return
    }
    self = others.isEmpty ? .unknown : .otherMethods(others)
  }
}
