extension SessionState {
  /// What must be sent again over a new connection, in parts that are no longer than the connection takes at a time.
  ///
  /// - Parameters:
  ///   - sequence: where to go on; what was acknowledged meanwhile is left out.
  ///   - maxBytes: a part ends once it has this many bytes.
  /// - Returns: the messages, and where the next part begins; `nil` after the last.
  mutating func replay(from sequence: UInt64, atMost maxBytes: Int, _ authenticator: MessageAuthenticator?) -> (
    messages: [[UInt8]], next: UInt64?
  ) {
    var messages: [[UInt8]] = []
    var bytes = 0
    // Sequence numbers in the outbox have no gaps.
    let first = outbox.entries.first?.sequence ?? sequence
    let skipped = Int(clamping: sequence > first ? sequence - first : 0)
    for entry in outbox.entries.dropFirst(skipped) {
      guard bytes < maxBytes else { return (messages, entry.sequence) }
      let message = seal(entry.body, sequence: entry.sequence, authenticator)
      messages.append(message)
      bytes += message.count
    }
    return (messages, nil)
  }
}
