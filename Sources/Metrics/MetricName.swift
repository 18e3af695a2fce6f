/// What Prometheus and its conventions ask of names (https://prometheus.io/docs/practices/naming).
public enum MetricName {
  public enum Kind: String, Sendable {
    case counter, gauge, histogram
  }

  /// What is wrong with a metric's name; `nil` if nothing is.
  public static func problem(with name: String, of kind: Kind) -> String? {
    guard isWellFormed(name, with: ":") else { return "a name is [a-zA-Z_:][a-zA-Z0-9_:]*" }
    guard (kind == .counter) == name.hasSuffix("_total") else {
      return kind == .counter ? "a counter's name ends in _total" : "only a counter's name ends in _total"
    }
    for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
      return "the suffix \(suffix) belongs to a histogram's own series"
    }
    for (unit, base) in [
      ("milliseconds", "seconds"), ("ms", "seconds"), ("minutes", "seconds"), ("kilobytes", "bytes"),
    ]
    where name.split(separator: "_").contains(Substring(unit)) {
      return "the base unit is \(base), not \(unit)"
    }
    return nil
  }

  /// What is wrong with a label's name; `nil` if nothing is.
  public static func problem(withLabel name: String) -> String? {
    guard isWellFormed(name, with: "_") else { return "a label is [a-zA-Z_][a-zA-Z0-9_]*" }
    if name.hasPrefix("__") { return "labels that begin with __ are Prometheus's own" }
    return name == "le" ? "le is the label of a histogram's buckets" : nil
  }

  private static func isWellFormed(_ name: String, with punctuation: Character) -> Bool {
    guard let first = name.first, first.isASCII, first.isLetter || first == "_" || first == punctuation else {
      return false
    }
    return name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == punctuation) }
  }
}
