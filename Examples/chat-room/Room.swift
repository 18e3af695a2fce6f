import Reactor
import WebSocket

/// Everyone who is here. It lives on the loop that its members' connections live on, so reaching it costs no thread.
actor Room {
  /// What becomes of a member that reads more slowly than the others talk. The others notice nothing in either case.
  enum SlowMembers: String, CaseIterable {
    /// The member is sent away with 1008.
    case drop
    /// The member misses what does not fit, and is told how much that was.
    case skip
  }

  private struct Member {
    let name: String
    let socket: AsyncWebSocket
    let outbox: AsyncStream<PreparedMessage>.Continuation
    var missed = 0
  }

  /// Messages that wait for one member, besides those in its connection.
  static let outboxMessages = 64

  private let executor: LoopSerialExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  private let slowMembers: SlowMembers
  private let compression: CompressionConfiguration?
  private var members: [UInt64: Member] = [:]

  init(on executor: LoopSerialExecutor, slowMembers: SlowMembers, compression: CompressionConfiguration?) {
    self.executor = executor
    self.slowMembers = slowMembers
    self.compression = compression
  }

  /// Lets a member in; what it is to be sent comes out of the returned outbox, which ends when the member has left.
  func join(_ name: String, _ socket: AsyncWebSocket) -> AsyncStream<PreparedMessage> {
    let (messages, outbox) = AsyncStream.makeStream(
      of: PreparedMessage.self, bufferingPolicy: .bufferingOldest(Self.outboxMessages))
    members[socket.id] = Member(name: name, socket: socket, outbox: outbox)
    broadcast("\(name) is here")
    return messages
  }

  func leave(_ socket: AsyncWebSocket) {
    guard let member = members.removeValue(forKey: socket.id) else { return }
    member.outbox.finish()
    broadcast("\(member.name) left")
  }

  /// Offers a line to everyone, and waits for nobody.
  func broadcast(_ line: String) {
    // Encoded once, and compressed once where that was agreed on, whatever the number of members.
    let message = PreparedMessage(text: line, compression: compression)
    var tooSlow: [Member] = []
    for (id, member) in members {
      if member.missed > 0 {
        guard case .enqueued = member.outbox.yield(PreparedMessage(text: "(you missed \(member.missed) messages)"))
        else {
          members[id]?.missed += 1
          continue
        }
        members[id]?.missed = 0
      }
      guard case .dropped = member.outbox.yield(message) else { continue }
      switch slowMembers {
      case .skip: members[id]?.missed += 1
      case .drop: tooSlow.append(member)
      }
    }
    for member in tooSlow { drop(member) }
  }

  private func drop(_ member: Member) {
    guard members.removeValue(forKey: member.socket.id) != nil else { return }
    member.outbox.finish()
    // Only started: its end is awaited where the connection is served, and bounded by `closeTimeout`.
    member.socket.connection?.close(code: .policyViolation, reason: "too slow")
    broadcast("\(member.name) was too slow")
  }
}
