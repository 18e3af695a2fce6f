public import WebSocketCore

/// Whether messages between workers and coordinators are compressed (permessage-deflate, RFC 7692).
///
/// Contexts are shared by a loop's connections, so an idle worker costs nothing and no message is compressed together with
/// another. That also bounds what lengths can tell an eavesdropper, who learns of a secret only where one message holds it
/// beside text of the attacker's choosing (as in BREACH): an assignment holds one submitter's task, a result or a checkpoint
/// one task's own words, and keys travel in the upgrade, which is not compressed. A reply to a client may hold tasks of many
/// submitters, so clients offer no compression.
public struct CompressionSettings: Hashable, Sendable {
  /// From 1 (fastest) to 9; 0: nothing is compressed, nor offered, nor accepted.
  ///
  /// 6 unless set, the reference's: level 1 saves an eighth of the time for a kilobyte of JSON and nearly a third for
  /// four, and gives 5 and 13 per cent more bytes; level 9 gains nothing.
  public var level = 6
  /// A shorter message goes out as it is, in bytes; the reference's.
  public var thresholdBytes = 1_024

  public static let off: CompressionSettings = {
    var settings = CompressionSettings()
    settings.level = 0
    return settings
  }()

  public init() {}

  /// For `WebSocketConfiguration.compression`.
  public var configuration: CompressionConfiguration? {
    guard level > 0 else { return nil }
    var configuration = CompressionConfiguration(context: .shared)
    configuration.level = level
    configuration.thresholdBytes = thresholdBytes
    return configuration
  }
}
