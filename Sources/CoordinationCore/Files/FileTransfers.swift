public import Primitives

/// What one end asks the coordinator for in order to get files, and to hand files over: which piece next, how much at a
/// time, from where after a cut, and how often again. A value: the shell sends what `next` says, tells every answer to
/// `answered`, and does what comes of it.
///
///     want ─▶ get … get ─▶ write … write ─▶ verify ─▶ finished        from the coordinator
///     offer ─▶ status ─▶ put … put ─▶ stored                          to it
///
/// The coordinator keeps what it has of a file that is not whole, and says at every answer how far that goes. So nothing
/// needs to be remembered over a cut but how many bytes are here, and a piece that was asked for twice does no harm.
public struct FileTransfers {
  public enum Direction: Sendable { case incoming, outgoing }

  /// A question for the coordinator.
  public enum Ask: Equatable, Sendable {
    /// `again`: what came before was damaged; the coordinator looks at its own copy first.
    case get(FileReference, offset: Int, count: Int, again: Bool)
    case status(FileReference)
    case put(FileReference, offset: Int, count: Int)
  }

  /// What the coordinator said.
  public enum Answer: Equatable, Sendable {
    /// So many bytes of an incoming file.
    case piece(count: Int)
    /// How much of an outgoing file it has. When it has all, that is durable.
    case has(Int, isStored: Bool)
    /// What arrived there was not what its digest says; it starts over.
    case damaged
    /// It cannot now; `isFinal`: and never will.
    case refused(String, isFinal: Bool)
  }

  public enum Outcome: Equatable, Sendable {
    /// The piece just answered belongs there.
    case write(FileReference, offset: Int)
    /// All pieces were handed out to be written: look whether they are the file, and say so with `finished`.
    case verify(FileReference)
    /// The coordinator has it for good.
    case stored(FileReference)
    case failed(FileReference, Direction, String)
  }

  public struct Ticket: Hashable, Comparable, Sendable {
    let number: UInt64
    public static func < (left: Ticket, right: Ticket) -> Bool { left.number < right.number }
  }

  /// How often a file is tried that arrives damaged, or is refused for now.
  public static let maxTries = 3
  /// Files that are under way at once in one direction; others wait for these.
  static let maxActive = 8

  private struct Incoming {
    let file: FileReference
    /// Handed out to be written.
    var got: Int
    /// Asked for.
    var asked: Int
    var tries = 1
    /// Answers to questions of an earlier one mean nothing.
    var round = 0
    /// Nothing more is asked until the shell has looked at it.
    var isComplete = false
  }

  private struct Outgoing {
    let file: FileReference
    /// What the coordinator has, once it said so.
    var known: Int?
    var sent = 0
    var tries = 1
    var round = 0
    var hasAskedForEnd = false
  }

  private struct Pending {
    let ask: Ask
    let round: Int
    let at: Instant
  }

  private var incoming: [FileDigest: Incoming] = [:]
  private var outgoing: [FileDigest: Outgoing] = [:]
  /// The digests of both, in the order in which they came.
  private var incomingOrder: [FileDigest] = []
  private var outgoingOrder: [FileDigest] = []
  private var pending: [Ticket: Pending] = [:]
  private var lastTicket: UInt64 = 0
  public private(set) var incomingWindow = TransferWindow()
  public private(set) var outgoingWindow = TransferWindow()
  private var incomingBytes = 0
  private var outgoingBytes = 0

  public init() {}

  public var isIdle: Bool { incoming.isEmpty && outgoing.isEmpty }

  /// How many questions wait for their answer.
  public var outstanding: Int { pending.count }

  public func isIncoming(_ digest: FileDigest) -> Bool { incoming[digest] != nil }
  public func isOutgoing(_ digest: FileDigest) -> Bool { outgoing[digest] != nil }

  // MARK: What is to be done

  /// Begins to get a file of which `have` bytes are here already.
  public mutating func want(_ file: FileReference, from have: Int) -> [Outcome] {
    guard incoming[file.digest] == nil else { return [] }
    let have = min(max(have, 0), file.size)
    incoming[file.digest] = Incoming(file: file, got: have, asked: have, isComplete: have == file.size)
    incomingOrder.append(file.digest)
    return have == file.size ? [.verify(file)] : []
  }

  /// Begins to hand a file over.
  public mutating func offer(_ file: FileReference) {
    guard outgoing[file.digest] == nil else { return }
    outgoing[file.digest] = Outgoing(file: file)
    outgoingOrder.append(file.digest)
  }

  /// Nobody needs it any more.
  public mutating func forget(_ digest: FileDigest, _ direction: Direction) {
    switch direction {
    case .incoming:
      incoming[digest] = nil
      incomingOrder.removeAll { $0 == digest }
    case .outgoing:
      outgoing[digest] = nil
      outgoingOrder.removeAll { $0 == digest }
    }
  }

  /// The shell has looked at an incoming file that is complete.
  public mutating func finished(_ digest: FileDigest, isSound: Bool) -> [Outcome] {
    guard let entry = incoming[digest] else { return [] }
    guard !isSound else {
      forget(digest, .incoming)
      return []
    }
    return tryAgain(entry, "it arrived damaged \(entry.tries) times")
  }

  private mutating func tryAgain(_ entry: Incoming, _ problem: String) -> [Outcome] {
    guard entry.tries < Self.maxTries else {
      forget(entry.file.digest, .incoming)
      return [.failed(entry.file, .incoming, problem)]
    }
    var entry = entry
    (entry.got, entry.asked, entry.isComplete) = (0, 0, entry.file.size == 0)
    entry.tries += 1
    entry.round += 1
    incoming[entry.file.digest] = entry
    return entry.isComplete ? [.verify(entry.file)] : []
  }

  /// The next question; `nil`: enough is on its way, or there is none.
  public mutating func next(at now: Instant) -> (ticket: Ticket, ask: Ask)? {
    guard let (ask, round) = nextIncoming() ?? nextOutgoing() else { return nil }
    lastTicket += 1
    let ticket = Ticket(number: lastTicket)
    pending[ticket] = Pending(ask: ask, round: round, at: now)
    return (ticket, ask)
  }

  private mutating func nextIncoming() -> (Ask, round: Int)? {
    // One piece is always let through, however small the window has become.
    guard incomingBytes == 0 || incomingBytes < incomingWindow.bytes else { return nil }
    for digest in incomingOrder.prefix(Self.maxActive) {
      guard let entry = incoming[digest], !entry.isComplete, entry.asked < entry.file.size else { continue }
      let count = min(incomingWindow.chunkBytes, entry.file.size - entry.asked)
      incoming[digest]?.asked += count
      incomingBytes += count
      let again = entry.tries > 1 && entry.asked == 0
      return (.get(entry.file, offset: entry.asked, count: count, again: again), entry.round)
    }
    return nil
  }

  private mutating func nextOutgoing() -> (Ask, round: Int)? {
    guard outgoingBytes == 0 || outgoingBytes < outgoingWindow.bytes else { return nil }
    for digest in outgoingOrder.prefix(Self.maxActive) {
      guard let entry = outgoing[digest] else { continue }
      guard let known = entry.known else {
        guard !entry.hasAskedForEnd else { continue }
        outgoing[digest]?.hasAskedForEnd = true
        return (.status(entry.file), entry.round)
      }
      if entry.sent < entry.file.size {
        let count = min(outgoingWindow.chunkBytes, entry.file.size - entry.sent)
        outgoing[digest]?.sent += count
        outgoingBytes += count
        return (.put(entry.file, offset: entry.sent, count: count), entry.round)
      }
      // All bytes are there, or there are none, and still it is not stored: nothing at the end completes it.
      guard known == entry.file.size, !entry.hasAskedForEnd else { continue }
      outgoing[digest]?.hasAskedForEnd = true
      return (.put(entry.file, offset: entry.file.size, count: 0), entry.round)
    }
    return nil
  }

  /// The connection is gone, and with it every question that was not answered.
  public mutating func cut() {
    pending = [:]
    (incomingBytes, outgoingBytes) = (0, 0)
    incomingWindow.restart()
    outgoingWindow.restart()
    for (digest, entry) in incoming {
      incoming[digest]?.asked = entry.got
      incoming[digest]?.round += 1
    }
    for digest in outgoing.keys {
      outgoing[digest]?.known = nil
      outgoing[digest]?.hasAskedForEnd = false
      outgoing[digest]?.round += 1
    }
  }

  // MARK: What the coordinator says

  /// - Returns: what is to be done, in order. Of an answer to what was not asked, nothing.
  public mutating func answered(_ ticket: Ticket, _ answer: Answer, at now: Instant) -> [Outcome] {
    guard let question = pending.removeValue(forKey: ticket) else { return [] }
    switch question.ask {
    case .get(let file, let offset, let count, _):
      incomingBytes -= count
      if case .piece = answer { incomingWindow.answered(count, askedAt: question.at, at: now) }
      guard let entry = incoming[file.digest], entry.round == question.round else { return [] }
      return answered(entry, offset: offset, count: count, answer)
    case .status(let file):
      guard let entry = outgoing[file.digest], entry.round == question.round else { return [] }
      return answered(entry, end: 0, answer)
    case .put(let file, let offset, let count):
      outgoingBytes -= count
      if case .has = answer { outgoingWindow.answered(count, askedAt: question.at, at: now) }
      guard let entry = outgoing[file.digest], entry.round == question.round else { return [] }
      return answered(entry, end: offset + count, answer)
    }
  }

  private mutating func answered(_ entry: Incoming, offset: Int, count: Int, _ answer: Answer) -> [Outcome] {
    let file = entry.file
    switch answer {
    case .piece(count) where offset == entry.got:
      incoming[file.digest]?.got += count
      guard entry.got + count == file.size else { return [.write(file, offset: offset)] }
      incoming[file.digest]?.isComplete = true
      return [.write(file, offset: offset), .verify(file)]
    case .piece, .has, .damaged:
      // Answers come in the order of the questions, so one that does not fit means that something was lost: start over.
      return tryAgain(entry, "the coordinator's answers did not fit together")
    case .refused(_, isFinal: false) where entry.tries < Self.maxTries:
      var again = entry
      again.tries += 1
      again.round += 1
      again.asked = again.got
      incoming[file.digest] = again
      return []
    case .refused(let reason, _):
      forget(file.digest, .incoming)
      return [.failed(file, .incoming, reason)]
    }
  }

  private mutating func answered(_ entry: Outgoing, end: Int, _ answer: Answer) -> [Outcome] {
    let file = entry.file
    var entry = entry
    switch answer {
    case .has(_, isStored: true):
      forget(file.digest, .outgoing)
      return [.stored(file)]
    case .has(let offset, isStored: false):
      guard (0...file.size).contains(offset) else { return failed(entry, "the coordinator says that it has \(offset)") }
      if entry.known == nil || offset < end {
        // It has less than it was sent, or says for the first time how much it has: go on from there.
        if entry.known != nil {
          entry.round += 1
          entry.tries += 1
          guard entry.tries <= Self.maxTries else { return failed(entry, "the coordinator lost it again and again") }
        }
        entry.sent = offset
      }
      // Others may send the same file, and have come further.
      entry.sent = max(entry.sent, offset)
      entry.known = offset
      entry.hasAskedForEnd = false
      outgoing[file.digest] = entry
      return []
    case .damaged, .piece, .refused(_, isFinal: false):
      guard entry.tries < Self.maxTries else {
        if case .refused(let reason, _) = answer { return failed(entry, reason) }
        return failed(entry, "it arrived damaged \(entry.tries) times")
      }
      entry.tries += 1
      entry.round += 1
      (entry.known, entry.sent, entry.hasAskedForEnd) = (nil, 0, false)
      outgoing[file.digest] = entry
      return []
    case .refused(let reason, isFinal: true): return failed(entry, reason)
    }
  }

  private mutating func failed(_ entry: Outgoing, _ reason: String) -> [Outcome] {
    forget(entry.file.digest, .outgoing)
    return [.failed(entry.file, .outgoing, reason)]
  }
}
