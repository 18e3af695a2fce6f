/// The values of a label: an enumeration, so that they are known and few when a metric is registered.
///
/// There is no other way to label a metric. What is as many as tasks, workers or addresses cannot be a label: each value
/// is a time series that a server keeps for ever.
///
///     enum Direction: String, MetricLabel {
///       static let name = "direction"
///       case received, sent
///     }
public protocol MetricLabel: CaseIterable, Hashable, Sendable {
  /// As it stands in the exposition: `[a-zA-Z_][a-zA-Z0-9_]*`, not beginning with `__`, and not `le`.
  static var name: String { get }
  var text: String { get }
}

extension MetricLabel where Self: RawRepresentable, RawValue == String {
  public var text: String { rawValue }
}

/// One metric for each value of a label.
public struct Labelled<Label: MetricLabel, Metric> {
  private let metrics: [Label: Metric]

  init(_ make: (Label) -> Metric) {
    var metrics: [Label: Metric] = [:]
    for label in Label.allCases { metrics[label] = make(label) }
    self.metrics = metrics
  }

  /// Looking it up hashes the label; whoever records often keeps what it finds.
  public subscript(label: Label) -> Metric {
    guard let metric = metrics[label] else { preconditionFailure("\(label) is not among all cases of its type") }
    return metric
  }
}
