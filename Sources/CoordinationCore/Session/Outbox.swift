/// Reliable messages that were numbered and sent and are not yet acknowledged, in order, kept for replay.
///
///     trimmed by ack ──▶ [ 7 │ 8 │ 9 ] ◀── appended when a message gets its number
public struct Outbox: Sendable {
  /// How much may wait for the peer's acknowledgement. When either is reached the producer is held back.
  public struct Limits: Equatable, Sendable {
    public var maxMessages: Int
    public var maxBytes: Int

    public init(maxMessages: Int = 4_096, maxBytes: Int = 16 << 20) {
      self.maxMessages = maxMessages
      self.maxBytes = maxBytes
    }
  }

  public struct Entry: Equatable, Sendable {
    public let sequence: UInt64
    public let body: [UInt8]
    /// Under which name the sender has this message on its own disk; forgotten there once it is acknowledged.
    public let key: String?
  }

  public let limits: Limits
  private var storage: [Entry] = []
  /// Entries before this index are acknowledged and wait for the array to be tidied.
  private var head = 0
  public private(set) var bytes = 0
  /// The newest number given.
  public private(set) var lastSequence: UInt64 = 0

  public init(limits: Limits = Limits()) {
    self.limits = limits
  }

  public var count: Int { storage.count - head }
  public var isEmpty: Bool { count == 0 }
  /// Everything unacknowledged, oldest first.
  public var entries: ArraySlice<Entry> { storage[head...] }

  /// Whether one more message fits. A single message is accepted however long it is when the outbox is empty, or it
  /// could never be sent at all.
  public var hasRoom: Bool { isEmpty || (count < limits.maxMessages && bytes < limits.maxBytes) }

  /// Whether an answer still fits. What the peer itself asked for cannot be held back, so answers may go beyond the limits
  /// up to four times; a peer that still sends and has not acknowledged by then never will.
  public var hasRoomForAnswer: Bool {
    isEmpty || (count / 4 < limits.maxMessages && bytes / 4 < limits.maxBytes)
  }

  /// Gives `body` the next number and keeps it.
  public mutating func append(_ body: [UInt8], key: String? = nil) -> Entry {
    lastSequence += 1
    let entry = Entry(sequence: lastSequence, body: body, key: key)
    storage.append(entry)
    bytes += body.count
    return entry
  }

  /// Drops everything up to `sequence`, and hands the dropped entries to `forget`.
  ///
  /// - Returns: `false` when the peer acknowledges what was never sent.
  public mutating func acknowledge(upTo sequence: UInt64, _ forget: (Entry) -> Void = { _ in }) -> Bool {
    guard sequence <= lastSequence else { return false }
    while head < storage.count, storage[head].sequence <= sequence {
      bytes -= storage[head].body.count
      forget(storage[head])
      head += 1
    }
    // Moving the tail down only when at least half is dead keeps the cost of each acknowledgement constant.
    if head * 2 >= storage.count {
      storage.removeFirst(head)
      head = 0
    }
    return true
  }
}
