import Primitives

/// Prometheus' text format, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats).
///
///     # HELP lifeline_messages_total Messages of workers.
///     # TYPE lifeline_messages_total counter
///     lifeline_messages_total{direction="received"} 12
public enum TextExposition {
  /// What the answer's Content-Type says.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// Every family of the registry as it is now, in the order of registration. Call on the registry's loop.
  public static func text(of registry: MetricsRegistry) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(registry.families.count * 256)
    for family in registry.families { append(family, to: &output) }
    return output
  }

  private static func append(_ family: MetricsRegistry.Family, to output: inout [UInt8]) {
    output += "# HELP \(family.name) \(escaped(help: family.help))\n".utf8
    output += "# TYPE \(family.name) \(family.kind.rawValue)\n".utf8
    for series in family.series {
      switch series.reading {
      case .number(let read): append(family.name, series.label, text(read()), to: &output)
      case .count(let read): append(family.name, series.label, "\(read())", to: &output)
      case .spread(let read): append(read(), of: family, to: &output)
      }
    }
  }

  private static func append(_ name: String, _ label: String, _ value: String, to output: inout [UInt8]) {
    output += label.isEmpty ? "\(name) \(value)\n".utf8 : "\(name){\(label)} \(value)\n".utf8
  }

  private static func append(
    _ values: LatencyHistogram, of family: MetricsRegistry.Family, to output: inout [UInt8]
  ) {
    for bound in family.bounds {
      append(
        "\(family.name)_bucket", "le=\"\(text(bound.shown))\"", "\(values.count(atMost: bound.raw))", to: &output)
    }
    append("\(family.name)_bucket", "le=\"+Inf\"", "\(values.count)", to: &output)
    append("\(family.name)_sum", "", text(Double(values.sum) / family.perBaseUnit), to: &output)
    append("\(family.name)_count", "", "\(values.count)", to: &output)
  }

  /// A number as Go's ParseFloat reads it; whole ones without a fraction.
  static func text(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return "\(whole)" }
    return "\(value)"
  }

  static func escaped(help text: String) -> String { escaped(text, quotes: false) }

  static func escaped(label text: String) -> String { escaped(text, quotes: true) }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
