/// How permessage-deflate (RFC 7692) is negotiated and what it may cost.
///
/// A number outside its range is moved to the range's nearest end.
public struct CompressionConfiguration: Hashable, Sendable {
  /// Who owns the memory that compressing takes.
  public enum Context: Hashable, Sendable {
    /// The connections of a loop borrow contexts, for one message at a time. An idle connection costs nothing; a
    /// message cannot refer to an earlier one, because no context takeover is negotiated in either direction.
    case shared
    /// Each connection keeps a context for each direction, so that a message may refer to earlier ones (context
    /// takeover, RFC 7692 §7.1.1): similar small messages shrink most, at `maxBytesPerConnection`.
    case dedicated
  }

  public var context: Context

  /// How hard to search for repetitions: 1 (fastest) to 9.
  ///
  /// 6 unless set: for JSON of 1 KiB, level 1 takes 12 % less time and gives 5 % more bytes, and level 9 gains nothing;
  /// for 4 KiB it is 30 % and 13 %.
  public var level = 6 { didSet { level = level.clamped(to: 1...9) } }

  /// A message shorter than this goes out plain, in bytes; 0 or more.
  ///
  /// 256 unless set: of 160 bytes of JSON deflate saves 30 and of 256 it saves 78, about what the packet's own headers
  /// take, for 4 to 8 µs of work.
  public var thresholdBytes = 256 { didSet { thresholdBytes = max(0, thresholdBytes) } }

  /// The binary logarithm of the largest window to compress with, in bytes: 9 to 15.
  ///
  /// A server answers it as server_max_window_bits, a client offers it as client_max_window_bits; the peer may ask for
  /// less. A context takes 2^(this + 2) + 2^(`memoryLevel` + 9) bytes and 6 KiB: 262 KiB with the defaults, 38 KiB with
  /// 12 and a memory level of 5.
  public var maxOutgoingWindowBits = 15 { didSet { maxOutgoingWindowBits = maxOutgoingWindowBits.clamped(to: 9...15) } }

  /// The binary logarithm of the largest window to inflate with, in bytes: 9 to 15.
  ///
  /// A server answers it as client_max_window_bits, and declines a client that cannot be told (RFC 7692 §7.1.2.2); a
  /// client offers it as server_max_window_bits. A context takes 2^this bytes and 7 KiB: 39 KiB with the default, 11 KiB
  /// with 12.
  public var maxIncomingWindowBits = 15 { didSet { maxIncomingWindowBits = maxIncomingWindowBits.clamped(to: 9...15) } }

  /// How much memory finding repetitions may take beside the window: 1 to 9, for 2^(this + 9) bytes.
  ///
  /// 8 unless set, 128 KiB. Clearing a shared context for the next message takes 0.7 µs then, against 0.2 at 5; but
  /// fewer false candidates make up for that: 14.2 against 14.8 µs for 1 KiB of JSON at the same bytes, 35 against 44
  /// for 4 KiB. A dedicated context uses at most its window bits less 7, for a table with more entries than the window has
  /// bytes finds nothing more.
  public var memoryLevel = 8 { didSet { memoryLevel = memoryLevel.clamped(to: 1...9) } }

  /// How many times its compressed size a received message may inflate to once that is more than 64 KiB; 1 or more.
  /// Beyond it the connection ends with 1009 (RFC 7692 §8). Deflate itself reaches 1,032.
  public var maxInflationRatio = 256 { didSet { maxInflationRatio = max(1, maxInflationRatio) } }

  /// The defaults with contexts of this kind.
  public init(context: Context = .shared) {
    self.context = context
  }

  /// What the contexts of one connection take at most, in bytes: none are its own when they are shared.
  public var maxBytesPerConnection: Int {
    switch context {
    case .shared: 0
    case .dedicated:
      Deflater.contextBytes(
        windowBits: maxOutgoingWindowBits, memoryLevel: dedicatedMemoryLevel(windowBits: maxOutgoingWindowBits))
        + Inflater.contextBytes(windowBits: maxIncomingWindowBits)
    }
  }

  func dedicatedMemoryLevel(windowBits: Int) -> Int { min(memoryLevel, max(1, windowBits - 7)) }

  /// Whether a receiver with this configuration takes a message of `compressedBytes` that inflates to `bytes`.
  ///
  /// A sender may ask this about its own message, so that a peer configured like it is not made to refuse it.
  public func allowsInflating(_ compressedBytes: Int, to bytes: Int) -> Bool {
    bytes <= Inflater.maxBytes(ofCompressed: compressedBytes, ratio: maxInflationRatio)
  }
}

extension Int {
  func clamped(to range: ClosedRange<Int>) -> Int { Swift.min(Swift.max(self, range.lowerBound), range.upperBound) }
}
