/// A query in the form that forms send: `name=value` pairs, joined by ampersands.
struct QueryParameters {
  /// More than any operation has; a query is part of a head that is bounded anyway.
  private static let maxCount = 256

  private var pairs: [(name: String, value: String)] = []

  /// - Parameter known: the names that may be there. A misspelt filter that were ignored would show everything.
  init(_ query: String?, known: [String]) throws(APIProblem) {
    guard let query, !query.isEmpty else { return }
    let parts = query.split(separator: "&")
    guard parts.count <= Self.maxCount else {
      throw APIProblem(.badParameter, "\(parts.count) query parameters; at most \(Self.maxCount) are read")
    }
    for part in parts {
      let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = halves.first.flatMap({ PercentEncoding.decoded($0, plusIsBlank: true) }),
        let value = PercentEncoding.decoded(halves.count > 1 ? halves[1] : "", plusIsBlank: true)
      else { throw APIProblem(.badParameter, "the query is not percent-encoded UTF-8") }
      guard known.contains(name) else {
        let text = known.isEmpty ? "this operation has none" : "known are \(known.joined(separator: ", "))"
        throw APIProblem(.badParameter, "unknown query parameter; \(text)", field: String(name.prefix(64)))
      }
      pairs.append((name: name, value: value))
    }
  }

  func values(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

  /// The one value of a parameter that may be given once.
  func value(_ name: String) throws(APIProblem) -> String? {
    let values = values(name)
    guard values.count <= 1 else { throw APIProblem(.badParameter, "it may be given once", field: name) }
    return values.first
  }

  func integer(_ name: String, in range: ClosedRange<Int>) throws(APIProblem) -> Int? {
    guard let text = try value(name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw APIProblem(
        .badParameter, "it must be a number from \(range.lowerBound) to \(range.upperBound)", field: name)
    }
    return number
  }

  func flag(_ name: String) throws(APIProblem) -> Bool {
    switch try value(name) {
    case nil, "false": return false
    case "true": return true
    default: throw APIProblem(.badParameter, "it must be true or false", field: name)
    }
  }
}
