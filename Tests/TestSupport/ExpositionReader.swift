/// Reads the text format 0.0.4 by its grammar, and refuses whatever that does not give.
public struct ExpositionReader {
  public struct Sample: Hashable {
    public let name: String
    public let labels: [String: String]
    public let value: Double
  }

  public struct Fault: Error, CustomStringConvertible {
    public let description: String
  }

  public private(set) var samples: [Sample] = []
  public private(set) var types: [String: String] = [:]
  public private(set) var helps: [String: String] = [:]

  public init(_ bytes: [UInt8]) throws {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Fault(description: "it is not UTF-8") }
    guard text.isEmpty || text.hasSuffix("\n") else { throw Fault(description: "the last line does not end") }
    var seen: Set<String> = []
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
      if line.hasPrefix("# ") {
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard words.count >= 4, words[1] == "HELP" || words[1] == "TYPE" else {
          throw Fault(description: "a comment of no kind: \(line)")
        }
        if words[1] == "HELP" {
          guard helps.updateValue(try Self.unescaped(words[3], quotes: false), forKey: words[2]) == nil else {
            throw Fault(description: "two HELP lines for \(words[2])")
          }
        } else {
          guard types.updateValue(words[3], forKey: words[2]) == nil,
            ["counter", "gauge", "histogram"].contains(words[3])
          else { throw Fault(description: "a wrong TYPE line: \(line)") }
        }
        continue
      }
      let sample = try Self.sample(line)
      guard seen.insert("\(sample.name)\(sample.labels.sorted { $0.key < $1.key })").inserted else {
        throw Fault(description: "a series stands twice: \(line)")
      }
      guard types[sample.name] != nil || Self.base(of: sample.name).flatMap({ types[$0] }) == "histogram" else {
        throw Fault(description: "a sample before its TYPE: \(line)")
      }
      samples.append(sample)
    }
  }

  public func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
    samples.first { $0.name == name && $0.labels == labels }?.value
  }

  private static func base(of name: String) -> String? {
    for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
      return String(name.dropLast(suffix.count))
    }
    return nil
  }

  private static func sample(_ line: Substring) throws -> Sample {
    var rest = line[...]
    let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == ":" }
    guard let first = name.first, !first.isNumber, name.allSatisfy(\.isASCII) else {
      throw Fault(description: "no metric name: \(line)")
    }
    rest = rest.dropFirst(name.count)
    var labels: [String: String] = [:]
    if rest.first == "{" {
      rest = rest.dropFirst()
      while rest.first != "}" {
        let label = rest.prefix { $0 != "=" }
        rest = rest.dropFirst(label.count)
        guard rest.hasPrefix("=\"") else { throw Fault(description: "no label value: \(line)") }
        rest = rest.dropFirst(2)
        var value = ""
        while let next = rest.popFirst(), next != "\"" {
          value.append(next)
          if next == "\\", let escaped = rest.popFirst() { value.append(escaped) }
        }
        labels[String(label)] = try unescaped(value, quotes: true)
        if rest.first == "," { rest = rest.dropFirst() }
        guard !rest.isEmpty else { throw Fault(description: "the labels do not end: \(line)") }
      }
      rest = rest.dropFirst()
    }
    guard rest.first == " ", let value = number(rest.dropFirst()) else {
      throw Fault(description: "no value: \(line)")
    }
    return Sample(name: String(name), labels: labels, value: value)
  }

  private static func number(_ text: Substring) -> Double? {
    switch text {
    case "+Inf": .infinity
    case "-Inf": -.infinity
    case "NaN": .nan
    default: Double(text)
    }
  }

  private static func unescaped(_ text: String, quotes: Bool) throws -> String {
    var result = ""
    var rest = text[...]
    while let next = rest.popFirst() {
      guard next == "\\" else {
        result.append(next)
        continue
      }
      switch rest.popFirst() {
      case "\\": result.append("\\")
      case "n": result.append("\n")
      case "\"" where quotes: result.append("\"")
      default: throw Fault(description: "an unknown escape in \(text)")
      }
    }
    return result
  }
}
