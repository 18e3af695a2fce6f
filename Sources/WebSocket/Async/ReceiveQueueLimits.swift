/// How much an `AsyncWebSocket` keeps of what its task has not received yet.
///
/// At either limit nothing more is read from the peer, whom TCP then holds back; at half of both reading goes on. What
/// one read brought, at most 128 KiB off the wire, is kept even beyond the limits.
public struct ReceiveQueueLimits: Hashable, Sendable {
  public var maxMessages = 256
  /// Payload bytes.
  public var maxBytes = 1024 * 1024

  public init() {}

  public init(maxMessages: Int, maxBytes: Int) {
    self.maxMessages = maxMessages
    self.maxBytes = maxBytes
  }
}
