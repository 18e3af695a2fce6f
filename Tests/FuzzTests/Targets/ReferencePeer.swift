@testable import WebSocketCore

/// What a connection must make of frames that come while it is open, and nothing else happens (RFC 6455 §5.4, §5.5, §8.1;
/// RFC 7692 §6, §7.2.2).
struct ReferencePeer {
  enum End: Equatable {
    case stillOpen
    /// The peer's Close frame, with the code it has or 1005.
    case closed(UInt16, reason: [UInt8])
    /// The peer broke a rule that deserves this code, or two at once.
    case failed(Set<UInt16>)
  }

  struct Limits {
    var maxMessageBytes = Int.max
    /// How many times its compressed size a message may inflate to beyond 64 KiB.
    var maxInflationRatio = 1 << 32
  }

  private(set) var messages: [MachineDriver.Event] = []
  /// The message that is not complete, as far as it is known.
  private(set) var unfinished: [UInt8] = []
  /// The payloads of the pings, in order.
  private(set) var pings: [[UInt8]] = []
  private(set) var end = End.stillOpen

  private let limits: Limits
  private var kind: MessageKind?
  private var isCompressed = false
  private var compressedBytes = 0
  /// Up to here the text is known to be whole characters.
  private var checkedBytes = 0
  private let inflater: ReferenceInflater?

  /// `deflate` is how the frames' sender compresses. `readEnds` is where the reads end, in bytes: what may inflate to how
  /// much is judged by what has come.
  init(
    _ received: ReferenceFrames, limits: Limits = Limits(), deflate: (windowBits: Int, takeover: Bool)? = nil,
    readEnds: [Int] = []
  ) {
    self.limits = limits
    inflater = deflate.map { ReferenceInflater(windowBits: max(9, $0.windowBits), keepsWindow: $0.takeover) }
    end = judge(received, readEnds)
  }

  private mutating func judge(_ received: ReferenceFrames, _ readEnds: [Int]) -> End {
    var readEnds = readEnds[...]
    for (frame, start) in zip(received.frames, received.payloadStarts) {
      if frame.isControl {
        guard frame.isComplete else { return .stillOpen }
        switch frame.opcode {
        case 8: return Self.end(of: frame.payload)
        case 9: pings.append(frame.payload)
        default: messages.append(.pong)
        }
        continue
      }
      guard (frame.opcode == 0) == (kind != nil), frame.opcode != 0 || !frame.isCompressed else {
        return .failed([1002])
      }
      if kind == nil {
        kind = frame.opcode == 1 ? .text : .binary
        isCompressed = frame.isCompressed
      }
      if !isCompressed, unfinished.count + frame.length > limits.maxMessageBytes { return .failed([1009]) }
      var left = frame.payload[...]
      var position = start
      while !left.isEmpty {
        while let end = readEnds.first, end <= position { readEnds.removeFirst() }
        let part = Array(left.prefix((readEnds.first ?? .max) - position))
        left = left.dropFirst(part.count)
        position += part.count
        let faults = take(part)
        if !faults.isEmpty { return .failed(faults) }
      }
      guard frame.isComplete, frame.isFinal else { continue }
      guard !isCompressed || inflater?.end() == true, kind != .text || checkedBytes == unfinished.count else {
        return .failed([1007])
      }
      messages.append(.message(kind == .text ? .text : .binary, unfinished))
      (kind, unfinished, compressedBytes, checkedBytes) = (nil, [], 0, 0)
    }
    return received.fault.map { .failed([$0]) } ?? .stillOpen
  }

  /// Takes a part of a message; the codes that its faults deserve are returned.
  private mutating func take(_ part: [UInt8]) -> Set<UInt16> {
    var faults: Set<UInt16> = []
    if isCompressed, let inflater {
      compressedBytes += part.count
      let allowed = min(limits.maxMessageBytes, max(65_536, compressedBytes * limits.maxInflationRatio))
      let (output, isInvalid) = inflater.inflate(part, maxBytes: allowed - unfinished.count)
      unfinished += output
      if unfinished.count > allowed {
        faults.insert(1009)
      } else if isInvalid {
        faults.insert(1007)
      }
    } else {
      unfinished += part
    }
    if kind == .text, !mayBecomeText() { faults.insert(1007) }
    return faults
  }

  private mutating func mayBecomeText() -> Bool {
    let rest = Array(unfinished[checkedBytes...])
    if String(validating: rest, as: UTF8.self) != nil {
      checkedBytes = unfinished.count
      return true
    }
    guard Self.mayBecomeUTF8(rest) else { return false }
    // What is not whole is the last character, from its first byte on.
    checkedBytes = unfinished.lastIndex { $0 >= 0xC0 } ?? checkedBytes
    return true
  }

  private static func end(of payload: [UInt8]) -> End {
    guard payload.count != 1 else { return .failed([1002]) }
    guard payload.count >= 2 else { return .closed(1005, reason: []) }
    let code = UInt16(payload[0]) * 256 + UInt16(payload[1])
    let reason = Array(payload[2...])
    guard [1000, 1001, 1002, 1003].contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code) else {
      return .failed([1002])
    }
    guard String(validating: reason, as: UTF8.self) != nil else { return .failed([1007]) }
    return .closed(code, reason: reason)
  }

  /// Whether some continuation makes the bytes UTF-8: one of these does, if any.
  static func mayBecomeUTF8(_ bytes: [UInt8]) -> Bool {
    let endings: [[UInt8]] = [[], [0x80], [0x80, 0x80], [0x80, 0x80, 0x80], [0xBF, 0xBF], [0xBF, 0xBF, 0xBF]]
    return endings.contains { String(validating: bytes + $0, as: UTF8.self) != nil }
  }
}
