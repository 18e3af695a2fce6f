/// What a frame is (RFC 6455 §5.2).
public enum Opcode: UInt8, Hashable, Sendable {
  case continuation = 0x0
  case text = 0x1
  case binary = 0x2
  case close = 0x8
  case ping = 0x9
  case pong = 0xA

  /// Control frames are short, never fragmented, and may come between the fragments of a message (RFC 6455 §5.5).
  public var isControl: Bool { rawValue & 0x8 != 0 }
}

/// What a message is: a sequence of fragments has the kind its first frame named (RFC 6455 §5.6).
public enum MessageKind: Hashable, Sendable {
  /// UTF-8, checked before it is delivered.
  case text
  case binary

  public var opcode: Opcode {
    switch self {
    case .text: .text
    case .binary: .binary
    }
  }
}
