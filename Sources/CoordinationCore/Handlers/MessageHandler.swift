/// Handles the messages of some kinds that workers send.
///
/// Registration, heartbeat, state sync and task resumption are handlers of this protocol and have no other way in than
/// a service author's own. A handler decides and describes: everything it does goes through the context, which performs
/// the effects once what they promise is durable. It reads no clock and touches no connection.
///
///     struct EchoHandler: MessageHandler {
///       static let kinds: [MessageKind] = ["echo"]
///       func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
///         context.reply("echo_ack", ["text": .string(try message.reader.string("text", maxBytes: 1_000))])
///       }
///     }
public protocol MessageHandler {
  /// The kinds this handler owns. No two handlers may own the same one.
  static var kinds: [MessageKind] { get }

  /// - Throws: what is wrong with the message; the worker is told with an `error` message, and the connection lives on.
  mutating func handle(_ message: Message, in context: HandlerContext) throws(MessageError)
}

/// Two handlers want the same kind of message.
public struct HandlerClash: Error, Equatable, CustomStringConvertible {
  public let kind: MessageKind
  public let first: String
  public let second: String

  public var description: String {
    "both \(first) and \(second) handle messages of type \(kind); register only one of them"
  }
}

/// Which handler owns which kind. Filled once at start, then only read.
struct HandlerRegistry {
  private var handlers: [any MessageHandler] = []
  private var owners: [MessageKind: Int] = [:]

  init(_ handlers: [any MessageHandler]) throws(HandlerClash) {
    for handler in handlers { try register(handler) }
  }

  private mutating func register(_ handler: any MessageHandler) throws(HandlerClash) {
    let kinds = type(of: handler).kinds
    for kind in kinds {
      if let owner = owners[kind] {
        throw HandlerClash(kind: kind, first: "\(type(of: handlers[owner]))", second: "\(type(of: handler))")
      }
    }
    // Only after every check: a handler gets all of its kinds or none.
    for kind in kinds { owners[kind] = handlers.count }
    handlers.append(handler)
  }

  /// - Returns: `false` when nobody handles messages of this kind.
  mutating func handle(_ message: Message, in context: HandlerContext) throws(MessageError) -> Bool {
    guard let owner = owners[message.kind] else { return false }
    try handlers[owner].handle(message, in: context)
    return true
  }
}
