/// A whole message, of its own memory.
public struct WebSocketMessage: Hashable, Sendable {
  public var kind: MessageKind
  /// The payload; of a text message UTF-8.
  public var bytes: [UInt8]

  public init(text: String) {
    kind = .text
    bytes = Array(text.utf8)
  }

  public init(binary bytes: [UInt8]) {
    kind = .binary
    self.bytes = bytes
  }

  init(copying message: RawSpan, _ kind: MessageKind) {
    self.kind = kind
    // SAFETY: the array is made during the loan.
    bytes = unsafe message.withUnsafeBytes { unsafe Array($0) }
  }

  /// The text, decoded anew at each call; nil for a binary message.
  public var text: String? { kind == .text ? String(decoding: bytes, as: UTF8.self) : nil }

  public static func text(_ text: String) -> WebSocketMessage { WebSocketMessage(text: text) }

  public static func binary(_ bytes: [UInt8]) -> WebSocketMessage { WebSocketMessage(binary: bytes) }
}
