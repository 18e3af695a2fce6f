import Cryptography
import CoordinationCore
import Primitives
import Testing

/// What the coordinator has, as it would answer.
private struct ScriptedCoordinator {
  var stored: Set<FileDigest> = []
  var parts: [FileDigest: Int] = [:]

  mutating func answer(_ ask: FileTransfers.Ask) -> FileTransfers.Answer {
    switch ask {
    case .get(_, _, let count, _): return .piece(count: count)
    case .status(let file):
      return stored.contains(file.digest)
        ? .has(file.size, isStored: true) : .has(parts[file.digest, default: 0], isStored: false)
    case .put(let file, let offset, let count):
      if stored.contains(file.digest) { return .has(file.size, isStored: true) }
      let have = parts[file.digest, default: 0]
      if offset <= have { parts[file.digest] = max(have, offset + count) }
      if parts[file.digest] == file.size { stored.insert(file.digest) }
      return .has(parts[file.digest, default: 0], isStored: stored.contains(file.digest))
    }
  }
}

@Suite(.timeLimit(.minutes(5)))
struct FileTransfersTests {
  private func file(_ name: String, _ size: Int) -> FileReference {
    FileReference(FileDigest(SHA256.digest(of: name)), size: size)
  }

  @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 1_000_000])
  func `a file is got in pieces, in order and without a gap, and looked at once`(size: Int) {
    var transfers = FileTransfers()
    let file = file("a", size)
    var outcomes = transfers.want(file, from: 0)
    var next = 0
    while let (ticket, ask) = transfers.next(at: .zero) {
      guard case .get(file, let offset, let count, again: false) = ask else { return #expect(Bool(false), "\(ask)") }
      let news = transfers.answered(ticket, .piece(count: count), at: .zero)
      #expect(offset == next)
      #expect(news.first == .write(file, offset: offset))
      next += count
      outcomes += news.dropFirst()
    }
    #expect(next == size)
    #expect(outcomes == [.verify(file)])
    #expect(transfers.finished(file.digest, isSound: true) == [])
    #expect(transfers.isIdle)
  }

  @Test(arguments: [0, 1, 65_536, 1_000_000])
  func `a file is handed over from where the coordinator stands, and is stored once`(size: Int) {
    for have in Set([0, size / 2, size]) {
      var transfers = FileTransfers()
      var coordinator = ScriptedCoordinator()
      let file = file("a", size)
      coordinator.parts[file.digest] = have
      transfers.offer(file)
      var outcomes: [FileTransfers.Outcome] = []
      var sent = 0
      while let (ticket, ask) = transfers.next(at: .zero) {
        if case .put(_, _, let count) = ask { sent += count }
        outcomes += transfers.answered(ticket, coordinator.answer(ask), at: .zero)
      }
      #expect(outcomes == [.stored(file)])
      #expect(sent == size - have)
      #expect(transfers.isIdle)
    }
  }

  @Test func `after a cut only what had not arrived is asked for again`() {
    var transfers = FileTransfers()
    let file = file("a", 300_000)
    _ = transfers.want(file, from: 0)
    guard let first = transfers.next(at: .zero) else { return #expect(Bool(false)) }
    _ = transfers.answered(first.ticket, .piece(count: 65_536), at: .zero)
    let second = transfers.next(at: .zero)
    transfers.cut()
    // What was on its way when the connection ended says nothing any more.
    if let second { #expect(transfers.answered(second.ticket, .piece(count: 65_536), at: .zero) == []) }
    guard case .get(_, let offset, _, _)? = transfers.next(at: .zero)?.ask else { return #expect(Bool(false)) }
    #expect(offset == 65_536)
  }

  @Test func `a damaged file is got again, from a copy that was looked at, and given up in the end`() {
    var transfers = FileTransfers()
    let file = file("a", 10)
    _ = transfers.want(file, from: 0)
    for attempt in 1...FileTransfers.maxTries {
      guard let (ticket, ask) = transfers.next(at: .zero) else { return #expect(Bool(false), "try \(attempt)") }
      #expect(ask == .get(file, offset: 0, count: 10, again: attempt > 1))
      #expect(transfers.answered(ticket, .piece(count: 10), at: .zero).last == .verify(file))
      let outcomes = transfers.finished(file.digest, isSound: false)
      if attempt < FileTransfers.maxTries {
        #expect(outcomes == [])
      } else {
        #expect(outcomes == [.failed(file, .incoming, "it arrived damaged 3 times")])
      }
    }
    #expect(transfers.isIdle)
  }

  @Test func `an upload that arrives damaged starts over, and is given up in the end`() {
    var transfers = FileTransfers()
    let file = file("a", 10)
    transfers.offer(file)
    var puts = 0
    var outcomes: [FileTransfers.Outcome] = []
    while let (ticket, ask) = transfers.next(at: .zero) {
      var answer = FileTransfers.Answer.has(0, isStored: false)
      if case .put(_, let offset, _) = ask {
        #expect(offset == 0)
        puts += 1
        answer = .damaged
      }
      outcomes += transfers.answered(ticket, answer, at: .zero)
    }
    #expect(puts == FileTransfers.maxTries)
    #expect(outcomes == [.failed(file, .outgoing, "it arrived damaged 3 times")])
  }

  @Test(arguments: [true, false])
  func `a refusal says why, at once when it is for good`(isFinal: Bool) {
    var transfers = FileTransfers()
    let file = file("a", 10)
    _ = transfers.want(file, from: 0)
    var questions = 0
    var outcomes: [FileTransfers.Outcome] = []
    while let (ticket, _) = transfers.next(at: .zero) {
      questions += 1
      outcomes += transfers.answered(ticket, .refused("no", isFinal: isFinal), at: .zero)
    }
    #expect(questions == (isFinal ? 1 : FileTransfers.maxTries))
    #expect(outcomes == [.failed(file, .incoming, "no")])
  }

  @Test func `answers that nobody asked for change nothing`() {
    var transfers = FileTransfers()
    let file = file("a", 100)
    _ = transfers.want(file, from: 0)
    guard let (ticket, _) = transfers.next(at: .zero) else { return #expect(Bool(false)) }
    #expect(!transfers.answered(ticket, .piece(count: 100), at: .zero).isEmpty)
    #expect(transfers.answered(ticket, .piece(count: 100), at: .zero) == [])
  }

  @Test func `a slow line has one small piece on its way, a fast one many`() {
    func window(_ time: Duration) -> Int {
      var transfers = FileTransfers()
      _ = transfers.want(file("a", 100 << 20), from: 0)
      var now = Instant.zero
      for _ in 0..<100 {
        var asked: [(ticket: FileTransfers.Ticket, ask: FileTransfers.Ask)] = []
        while let next = transfers.next(at: now) { asked.append(next) }
        #expect(transfers.outstanding <= 40)
        now = now + time
        for (ticket, ask) in asked {
          guard case .get(_, _, let count, _) = ask else { continue }
          _ = transfers.answered(ticket, .piece(count: count), at: now)
        }
      }
      return transfers.incomingWindow.bytes
    }
    #expect(window(.milliseconds(1)) == TransferWindow.maxBytes)
    #expect(window(.seconds(1)) == TransferWindow.minBytes)
  }

  /// Files both ways over a connection that is cut at any moment, with answers lost, to and from a coordinator that
  /// forgets now and then what was not whole.
  @Test(arguments: seedToReplay().map { [$0] } ?? (0..<20).map { _ in freshSeed() })
  func `whatever is cut and lost, every file ends exactly once`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var transfers = FileTransfers()
    var coordinator = ScriptedCoordinator()
    let files = (0..<12).map { file("\($0)", Int.random(in: 0...500_000, using: &random)) }
    var got: [FileDigest: Int] = [:]
    var ended: [FileDigest: Int] = [:]
    var moved = 0
    func perform(_ outcomes: [FileTransfers.Outcome], _ count: Int = 0) {
      var todo = outcomes
      while !todo.isEmpty {
        switch todo.removeFirst() {
        case .write(let file, let offset):
          #expect(offset == got[file.digest, default: 0], "\(replayCommand(seed, "FileTransfersTests"))")
          got[file.digest] = offset + count
        case .verify(let file):
          #expect(got[file.digest, default: 0] == file.size, "\(replayCommand(seed, "FileTransfersTests"))")
          ended[file.digest, default: 0] += 1
          todo += transfers.finished(file.digest, isSound: true)
        case .stored(let file): ended[file.digest, default: 0] += 1
        case .failed(let file, _, let problem): Issue.record("\(file): \(problem)")
        }
      }
    }
    for (index, file) in files.enumerated() {
      if index.isMultiple(of: 2) { perform(transfers.want(file, from: 0)) } else { transfers.offer(file) }
    }
    var now = Instant.zero
    var waiting: [(FileTransfers.Ticket, FileTransfers.Ask)] = []
    var rounds = 0
    while !transfers.isIdle, rounds < 100_000 {
      rounds += 1
      now = now + .milliseconds(Int64.random(in: 0...50, using: &random))
      switch UInt8.random(in: 0..<100, using: &random) {
      case 0..<2:
        // The coordinator may have got what was on its way, or not.
        for (_, ask) in waiting where Bool.random(using: &random) { _ = coordinator.answer(ask) }
        waiting = []
        transfers.cut()
      case 2..<50:
        if let (ticket, ask) = transfers.next(at: now) { waiting.append((ticket, ask)) }
      default:
        guard !waiting.isEmpty else { continue }
        let (ticket, ask) = waiting.removeFirst()
        if case .put(_, _, let count) = ask { moved += count }
        let answer = coordinator.answer(ask)
        if case .piece(let count) = answer {
          moved += count
          perform(transfers.answered(ticket, answer, at: now), count)
        } else {
          perform(transfers.answered(ticket, answer, at: now))
        }
      }
    }
    #expect(transfers.isIdle, "\(replayCommand(seed, "FileTransfersTests"))")
    #expect(ended.count == files.count && ended.values.allSatisfy { $0 == 1 })
    #expect(
      files.enumerated().allSatisfy { $0.offset.isMultiple(of: 2) || coordinator.stored.contains($0.element.digest) })
  }
}
