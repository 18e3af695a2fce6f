public import CoordinationCore
import Terminal

/// Measurements as people and programs read them.
public struct Report: Sendable {
  public let environment: Environment
  public let measurements: [Measurement]

  public init(_ environment: Environment, _ measurements: [Measurement]) {
    self.environment = environment
    self.measurements = measurements
  }

  public func lines(width: Int?) -> [String] {
    var table = Table([
      Table.Column("operation"), Table.Column("ns/op", .right), Table.Column("min", .right),
      Table.Column("max", .right), Table.Column("CPU ns/op", .right), Table.Column("allocs/op", .right),
      Table.Column("of", .left), Table.Column("rate", .right), Table.Column("checksum", .right),
    ])
    for measurement in measurements {
      var rate = ""
      if measurement.benchmark.showsRate { rate = "\(Self.grouped(measurement.operationsPerSecond)) /s" }
      if let throughput = measurement.gigabytesPerSecond { rate = "\(Self.text(throughput, 2)) GB/s" }
      table.append([
        Table.Cell(measurement.benchmark.name), Table.Cell(Self.time(measurement.median)),
        Table.Cell(Self.time(measurement.fastest)), Table.Cell(Self.time(measurement.slowest)),
        Table.Cell(Self.time(measurement.processorMedian)),
        Table.Cell(measurement.allocations.map { Self.text($0, 2) } ?? "-"),
        Table.Cell(measurement.benchmark.scope.rawValue), Table.Cell(rate), Table.Cell(Self.hex(measurement.checksum)),
      ])
    }
    let notes = [
      "",
      "ns/op: the median of \(measurements.first?.samples.count ?? 0) interleaved runs. CPU ns/op: processor time of all threads.",
      "allocs/op: blocks asked for by the measured thread, or by the whole process, with those of everyone in it.",
      "Dispatch starts when every task is submitted and ends with the last task's durable end; submission is a row of its own.",
    ]
    return [environment.line] + [""] + table.lines(width: width) + notes
  }

  public var json: JSONObject {
    [
      "environment": .object(environment.json),
      "benchmarks": .array(
        measurements.map { measurement in
          [
            "name": .string(measurement.benchmark.name), "ns_per_op": .number(measurement.median),
            "ns_per_op_min": .number(measurement.fastest), "ns_per_op_max": .number(measurement.slowest),
            "cpu_ns_per_op": .number(measurement.processorMedian),
            "allocations_per_op": measurement.allocations.map(JSONValue.number) ?? .null,
            "allocations_of": .string(measurement.benchmark.scope.rawValue),
            "ops_per_second": .number(measurement.operationsPerSecond),
            "payload_bytes": .integer(Int64(measurement.benchmark.payloadBytes)),
            "repeats": .integer(Int64(measurement.samples.count)),
            "operations": .integer(Int64(measurement.samples.first?.operations ?? 0)),
            "checksum": .string(Self.hex(measurement.checksum)),
          ]
        }),
    ]
  }

  private static func time(_ nanoseconds: Double) -> String {
    nanoseconds < 100 ? text(nanoseconds, 1) : grouped(nanoseconds)
  }

  /// With `decimals` digits behind the point.
  static func text(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    guard let scaled = Int64(exactly: (value * scale).rounded()) else { return "?" }
    let digits = String(scaled.magnitude)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return "\(scaled < 0 ? "-" : "")\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
  }

  /// Rounded, with a comma before each three digits.
  static func grouped(_ value: Double) -> String {
    guard let whole = Int64(exactly: value.rounded()) else { return "?" }
    var result = ""
    for (index, digit) in String(whole).reversed().enumerated() {
      if index > 0, index.isMultiple(of: 3) { result.append(",") }
      result.append(digit)
    }
    return String(result.reversed())
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, 16 - digits.count)) + digits
  }
}
