import CoordinationCore
import Reactor

/// Where the pieces of files come from and go to. Answers may come at once or later, in the order of the calls, on the
/// loop.
protocol FileCourierDisk: AnyObject {
  func read(
    _ file: FileReference, offset: Int, count: Int, _ done: @escaping (Result<[UInt8], FileProblem>) -> Void)
  func write(
    _ file: FileReference, offset: Int, _ piece: [UInt8], _ done: @escaping (Result<Void, FileProblem>) -> Void)
  /// Whether all that was written is the file.
  func verify(_ file: FileReference, _ done: @escaping (Bool) -> Void)
}

/// Why a file could not be had, kept or sent; for people.
struct FileProblem: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// `FileTransfers` on a loop: asks over whatever connection there is, and moves pieces between it and a disk.
final class FileCourier {
  /// Asks the coordinator; the answer is dropped with the connection.
  typealias Line = (FileFrames.Frame, @escaping (FileFrames.Frame) -> Void) -> Void

  /// What may wait for the disk before nothing more is asked for, in bytes.
  private static let maxWritingBytes = 8 << 20

  private let loop: EventLoop
  /// Its owner.
  private weak var disk: (any FileCourierDisk)?
  private var transfers = FileTransfers()
  private var line: Line?
  /// Of the connection: what belongs to an earlier one is dropped.
  private var generation = 0
  private var writing = 0
  private var isPumping = false
  private var incoming: [FileDigest: [(Result<Void, FileProblem>) -> Void]] = [:]
  private var outgoing: [FileDigest: [(Result<Void, FileProblem>) -> Void]] = [:]

  /// Whether the connection takes more for now.
  var canSend: () -> Bool = { true }
  /// Called with each piece that has come or gone.
  var onProgress: ((FileReference, Int) -> Void)?

  init(_ disk: any FileCourierDisk, on loop: EventLoop) {
    self.disk = disk
    self.loop = loop
  }

  var isIdle: Bool { transfers.isIdle }

  // MARK: The connection

  /// There is a connection now; `nil`: none any more.
  func use(_ line: Line?) {
    generation += 1
    transfers.cut()
    self.line = line
    pump()
  }

  /// The connection may take more.
  func pump() {
    guard !isPumping, line != nil else { return }
    isPumping = true
    while let line, canSend(), writing < Self.maxWritingBytes, let (ticket, ask) = transfers.next(at: loop.now) {
      send(ask, ticket, line)
    }
    isPumping = false
  }

  private func send(_ ask: FileTransfers.Ask, _ ticket: FileTransfers.Ticket, _ line: @escaping Line) {
    let generation = generation
    let answered = { [weak self] (frame: FileFrames.Frame) in
      guard let self, self.generation == generation else { return }
      self.answered(ask, ticket, frame)
    }
    guard case .put(let file, let offset, let count) = ask, count > 0 else {
      return line(FileFrames.Frame(FileWords.words(ask)), answered)
    }
    disk?.read(file, offset: offset, count: count) { [weak self] result in
      guard let self, self.generation == generation else { return }
      switch result {
      case .success(let piece): line(FileFrames.Frame(FileWords.words(ask), piece), answered)
      case .failure(let problem): self.fail(file, .outgoing, problem.description)
      }
    }
  }

  // MARK: Files

  /// Gets a file, of which `have` bytes are on the disk already.
  func get(_ file: FileReference, from have: Int, _ done: @escaping (Result<Void, FileProblem>) -> Void) {
    incoming[file.digest, default: []].append(done)
    perform(transfers.want(file, from: have))
    pump()
  }

  func send(_ file: FileReference, _ done: @escaping (Result<Void, FileProblem>) -> Void) {
    outgoing[file.digest, default: []].append(done)
    transfers.offer(file)
    pump()
  }

  func isGetting(_ digest: FileDigest) -> Bool { incoming[digest] != nil }

  /// Nobody needs it any more; those who waited for it are not told.
  func forget(_ digest: FileDigest, _ direction: FileTransfers.Direction) {
    transfers.forget(digest, direction)
    switch direction {
    case .incoming: incoming[digest] = nil
    case .outgoing: outgoing[digest] = nil
    }
  }

  private func answered(_ ask: FileTransfers.Ask, _ ticket: FileTransfers.Ticket, _ frame: FileFrames.Frame) {
    if case .put(let file, _, let count) = ask { onProgress?(file, count) }
    perform(transfers.answered(ticket, FileWords.answer(to: ask, frame), at: loop.now), frame.piece)
    pump()
  }

  private func perform(_ outcomes: [FileTransfers.Outcome], _ piece: [UInt8] = []) {
    for outcome in outcomes {
      switch outcome {
      case .write(let file, let offset):
        writing += piece.count
        onProgress?(file, piece.count)
        disk?.write(file, offset: offset, piece) { [self] result in
          writing -= piece.count
          if case .failure(let problem) = result { fail(file, .incoming, problem.description) }
          pump()
        }
      case .verify(let file):
        disk?.verify(file) { [self] isSound in
          guard transfers.isIncoming(file.digest) else { return }
          perform(transfers.finished(file.digest, isSound: isSound))
          if isSound { tell(file.digest, .incoming, .success(())) }
          pump()
        }
      case .stored(let file): tell(file.digest, .outgoing, .success(()))
      case .failed(let file, let direction, let problem): fail(file, direction, problem)
      }
    }
  }

  private func fail(_ file: FileReference, _ direction: FileTransfers.Direction, _ problem: String) {
    transfers.forget(file.digest, direction)
    tell(file.digest, direction, .failure(FileProblem(problem)))
  }

  private func tell(
    _ digest: FileDigest, _ direction: FileTransfers.Direction, _ result: Result<Void, FileProblem>
  ) {
    let waiting =
      switch direction {
      case .incoming: incoming.removeValue(forKey: digest)
      case .outgoing: outgoing.removeValue(forKey: digest)
      }
    for done in waiting ?? [] { done(result) }
  }
}

@available(*, unavailable) extension FileCourier: Sendable {}
