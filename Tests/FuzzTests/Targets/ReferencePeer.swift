import WebSocketCore

/// What a connection must make of frames that come while it is open, and nothing else happens (RFC 6455 §5.4, §5.5, §8.1).
struct ReferencePeer {
  enum End: Equatable {
    case stillOpen
    /// The peer's Close frame, with the code it has or 1005.
    case closed(UInt16, reason: [UInt8])
    /// The peer broke a rule that deserves this code.
    case failed(UInt16)
  }

  private(set) var messages: [MachineDriver.Event] = []
  /// The payloads of the pings, in order.
  private(set) var pings: [[UInt8]] = []
  private(set) var end = End.stillOpen

  init(_ received: ReferenceFrames, maxMessageBytes: Int) {
    end = judge(received, maxMessageBytes)
  }

  private mutating func judge(_ received: ReferenceFrames, _ maxMessageBytes: Int) -> End {
    var opcode: UInt8?
    var message: [UInt8] = []
    for frame in received.frames {
      if frame.isControl {
        guard frame.isComplete else { return .stillOpen }
        switch frame.opcode {
        case 8: return Self.end(of: frame.payload)
        case 9: pings.append(frame.payload)
        default: messages.append(.pong)
        }
        continue
      }
      guard (frame.opcode == 0) == (opcode != nil) else { return .failed(1002) }
      opcode = opcode ?? frame.opcode
      guard message.count + frame.length <= maxMessageBytes else { return .failed(1009) }
      message += frame.payload
      guard opcode != 1 || Self.mayBecomeUTF8(message) else { return .failed(1007) }
      guard frame.isComplete, frame.isFinal else { continue }
      guard opcode != 1 || String(validating: message, as: UTF8.self) != nil else { return .failed(1007) }
      messages.append(.message(opcode == 1 ? .text : .binary, message))
      opcode = nil
      message = []
    }
    return received.fault.map(End.failed) ?? .stillOpen
  }

  private static func end(of payload: [UInt8]) -> End {
    guard payload.count != 1 else { return .failed(1002) }
    guard payload.count >= 2 else { return .closed(1005, reason: []) }
    let code = UInt16(payload[0]) * 256 + UInt16(payload[1])
    let reason = Array(payload[2...])
    guard [1000, 1001, 1002, 1003].contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code) else {
      return .failed(1002)
    }
    guard String(validating: reason, as: UTF8.self) != nil else { return .failed(1007) }
    return .closed(code, reason: reason)
  }

  /// Whether some continuation makes the bytes UTF-8: one of these does, if any.
  static func mayBecomeUTF8(_ bytes: [UInt8]) -> Bool {
    let endings: [[UInt8]] = [[], [0x80], [0x80, 0x80], [0x80, 0x80, 0x80], [0xBF, 0xBF], [0xBF, 0xBF, 0xBF]]
    return endings.contains { String(validating: bytes + $0, as: UTF8.self) != nil }
  }
}
