import ArgumentParsing
import Coordination

/// What a coordinator and its workers can be told about their messages; the names are the reference's.
enum TrafficOptions {
  static let priorityQueue = Option(
    flag: "priority-queue", default: true,
    "Let what waits leave by its priority, with what is overdue in every fourth place; otherwise in the order that it came."
  )
  static let adaptiveParameters = Option(
    flag: "adaptive-parameters", default: true,
    "Let heartbeats and delays follow round-trip times, lost connections and the size of the fleet, within the bounds given."
  )
  static let compression = Option(
    flag: "compression", default: true, "Compress messages of 1 KiB and more (permessage-deflate).")
  static let compressionLevel = Option(
    "compression-level", .integer(0...9), default: CompressionSettings().level, as: "N",
    "From 1, fastest, to 9; 0 compresses nothing.")

  /// What the options about compression say together.
  static func compressionSettings(_ invocation: Invocation) -> CompressionSettings {
    guard invocation[compression] else { return .off }
    var settings = CompressionSettings()
    settings.level = invocation[compressionLevel]
    return settings
  }
}
