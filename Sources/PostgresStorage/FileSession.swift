import CoordinationCore
import Cryptography
import PostgreSQL
import Primitives
import Reactor
import Storage

/// The files' life on its loop. What is asked of one file is done in order, one thing after the other; different files do
/// not wait for each other.
///
/// Everything may be done twice: a file's number never means other bytes than it did, its pieces only grow, and a piece
/// that is there already changes nothing. So whatever a broken connection left without an answer is simply asked again.
final class FileSession {
  typealias Done<Value> = (Result<Value, ContentError>) -> Void

  /// Files whose digest is computed while they come; of others the pieces are read back in the end.
  private static let maxHashes = 1_000

  private let loop: EventLoop
  private let lane: PostgresLane
  private let store: String
  private let limits: ContentLimits
  private let log: (String) -> Void
  private var isStarted = false
  private var isClosed = false
  private var isReported = false
  private var upSince: Instant?
  /// Until there is a connection.
  private var waiting: [() -> Void] = []
  /// Transactions that are not answered yet.
  private var underWay: [UInt64: (PostgresLane.Answer) -> Void] = [:]
  private var lastTransaction: UInt64 = 0
  /// What was asked of each file; the first is under way.
  private var queues: [FileDigest: [() -> Void]] = [:]

  /// The digest of the first bytes of a file, all of which came through here.
  private struct RunningHash {
    let id: Int64
    var have: Int
    var hash = SHA256Stream()
  }

  private var hashes: [FileDigest: RunningHash] = [:]

  private struct Row {
    let id: Int64
    let size: Int
    let have: Int
    let isWhole: Bool
  }

  init(
    _ address: PostgresAddress, _ setup: LaneSetup, _ limits: ContentLimits, on loop: EventLoop,
    _ log: @escaping (String) -> Void
  ) {
    self.loop = loop
    self.limits = limits
    self.log = log
    store = address.shown
    lane = PostgresLane(address, on: loop) { setup.prepareFiles($0, $1) }
    lane.onUp = { [weak self] in self?.up() }
    lane.onDown = { [weak self] error in self?.down(error) }
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    lane.stop()
    // Each finds that it is closed.
    for number in underWay.keys.sorted() {
      underWay.removeValue(forKey: number)?(.failure(PostgresError(.connection, "it was closed")))
    }
    resume()
  }

  // MARK: The connection

  private func up() {
    upSince = loop.now
    isReported = false
    resume()
  }

  private func resume() {
    let bodies = waiting
    waiting = []
    for body in bodies { body() }
  }

  private func down(_ error: PostgresError) {
    upSince = nil
    guard !isReported else { return }
    isReported = true
    log("files in the store \(store) cannot be reached: \(error)")
  }

  private func start() {
    guard !isStarted else { return }
    isStarted = true
    lane.start()
  }

  /// Runs a transaction, as often as it takes until the server has answered.
  private func run(_ calls: [PostgresCall], _ done: @escaping Done<[PostgresResult]>) {
    // Not at once: many may be waiting for one another.
    guard !isClosed else { return loop.afterTurn { done(.failure(.disk(.closed))) } }
    start()
    guard lane.isReady else { return waiting.append { self.run(calls, done) } }
    ask(calls) { [self] answer in
      switch answer {
      case .success(let results): done(.success(results))
      case .failure(let error) where error.kind != .statement || isClosed: run(calls, done)
      case .failure(let error) where error.endsConnection || error.code == "25006":
        lane.drop(error.description)
        run(calls, done)
      case .failure(let error) where error.isConflict:
        _ = loop.schedule(after: .milliseconds(Int64.random(in: 5...50))) { self.run(calls, done) }
      case .failure(let error): done(.failure(.disk(error.storeError(store))))
      }
    }
  }

  /// Runs a transaction once.
  private func ask(_ calls: [PostgresCall], _ done: @escaping (PostgresLane.Answer) -> Void) {
    lastTransaction += 1
    let number = lastTransaction
    underWay[number] = done
    lane.run(calls) { [weak self] answer in self?.underWay.removeValue(forKey: number)?(answer) }
  }

  // MARK: Order

  /// Begins `body` once everything that was asked of the file before is done; it ends by calling what it is given.
  private func inOrder<Value>(
    _ digest: FileDigest, _ completion: @escaping ContentCompletion<Value>,
    _ body: @escaping (@escaping Done<Value>) -> Void
  ) {
    queues[digest, default: []].append { [self] in
      body { [self] result in
        completion(result)
        ended(digest)
      }
    }
    if queues[digest]?.count == 1 { queues[digest]?.first?() }
  }

  private func ended(_ digest: FileDigest) {
    queues[digest]?.removeFirst()
    if let next = queues[digest]?.first { next() } else { queues[digest] = nil }
  }

  // MARK: Asking

  func state(of file: FileReference, _ completion: @escaping ContentCompletion<ContentState>) {
    inOrder(file.digest, completion) { [self] done in readState(of: file, done) }
  }

  private func readState(of file: FileReference, _ done: @escaping Done<ContentState>) {
    run([FileStatements.state(.text(file.digest.text))]) { result in
      done(result.flatMap { Self.state(of: file, Self.row($0[0])) })
    }
  }

  private static func row(_ result: PostgresResult) -> Row? {
    guard result.count > 0 else { return nil }
    let row = result.row(0)
    return Row(id: row.int64(0), size: row.int(1), have: row.int(2), isWhole: row.bool(3))
  }

  private static func state(of file: FileReference, _ row: Row?) -> Result<ContentState, ContentError> {
    guard let row else { return .success(.partial(0)) }
    guard row.isWhole else { return .success(.partial(row.size == file.size ? row.have : 0)) }
    return row.size == file.size ? .success(.whole) : .failure(.otherSize(file, found: row.size))
  }

  func find(_ digests: [FileDigest], _ completion: @escaping ContentCompletion<[FileReference]>) {
    var texts = SQLColumn(.text)
    for digest in digests { texts.append(digest.text) }
    run([FileStatements.find(texts.value)]) { result in
      completion(
        result.map { results in
          (0..<results[0].count).compactMap { number in
            let row = results[0].row(number)
            return row.string(0).flatMap(FileDigest.init).map { FileReference($0, size: row.int(1)) }
          }
        })
    }
  }

  func read(
    _ file: FileReference, offset: Int, count: Int, verifying: Bool, _ completion: @escaping ContentCompletion<[UInt8]>
  ) {
    inOrder(file.digest, completion) { [self] done in
      guard verifying else { return piece(of: file, offset: offset, count: count, done) }
      verify(file) { [self] result in
        switch result {
        case .success: piece(of: file, offset: offset, count: count, done)
        case .failure(let error): done(.failure(error))
        }
      }
    }
  }

  private func piece(of file: FileReference, offset: Int, count: Int, _ done: @escaping Done<[UInt8]>) {
    let digest = SQLValue.text(file.digest.text)
    guard offset >= 0, count >= 0, offset <= file.size, count <= file.size - offset else {
      return done(.failure(.badRange(file, offset: offset, count: count)))
    }
    run([FileStatements.state(digest), FileStatements.read(digest, .int(offset), .int(count))]) { [self] result in
      switch result {
      case .failure(let error): done(.failure(error))
      case .success(let results):
        guard let row = Self.row(results[0]), row.isWhole else { return done(.failure(.missing(file.digest))) }
        guard row.size == file.size else { return done(.failure(.otherSize(file, found: row.size))) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for number in 0..<results[1].count {
          let piece = results[1].row(number)
          if piece.int(0) == offset + bytes.count { bytes += piece.bytes(1) }
        }
        // Somebody took a piece out, or cut one short.
        guard bytes.count == count else { return remove(row.id) { done(.failure($0 ?? .missing(file.digest))) } }
        done(.success(bytes))
      }
    }
  }

  /// Fails when the file is not there, or is damaged, and then it is removed.
  private func verify(_ file: FileReference, _ done: @escaping Done<Void>) {
    run([FileStatements.state(.text(file.digest.text))]) { [self] result in
      switch result {
      case .failure(let error): done(.failure(error))
      case .success(let results):
        guard let row = Self.row(results[0]), row.isWhole else { return done(.failure(.missing(file.digest))) }
        readBack(row.id, RunningHash(id: row.id, have: 0)) { [self] result in
          switch result {
          case .failure(let error): done(.failure(error))
          case .success(let found) where found == file.digest: done(.success(()))
          case .success: remove(row.id) { done(.failure($0 ?? .missing(file.digest))) }
          }
        }
      }
    }
  }

  /// The digest of the pieces that are there, as far as they follow one another.
  private func readBack(_ id: Int64, _ hash: RunningHash, _ done: @escaping Done<FileDigest>) {
    run([FileStatements.pieces(.int(id), .int(hash.have))]) { [self] result in
      switch result {
      case .failure(let error): done(.failure(error))
      case .success(let results):
        var hash = hash
        for number in 0..<results[0].count {
          let piece = results[0].row(number)
          guard piece.int(0) == hash.have else { return done(.success(FileDigest(hash.hash.digest))) }
          let bytes = piece.bytes(1)
          hash.hash.update(bytes)
          hash.have += bytes.count
        }
        if results[0].count == 0 { return done(.success(FileDigest(hash.hash.digest))) }
        readBack(id, hash, done)
      }
    }
  }

  // MARK: Taking pieces

  func append(
    _ file: FileReference, offset: Int, _ piece: [UInt8], _ completion: @escaping ContentCompletion<ContentState>
  ) {
    inOrder(file.digest, completion) { [self] done in
      guard offset >= 0, offset <= file.size, piece.count <= file.size - offset else {
        return readState(of: file) { result in
          if case .success(.partial) = result {
            return done(.failure(.badRange(file, offset: offset, count: piece.count)))
          }
          done(result)
        }
      }
      add(piece, at: offset, to: file, done)
    }
  }

  private func add(_ piece: [UInt8], at offset: Int, to file: FileReference, _ done: @escaping Done<ContentState>) {
    let calls = Self.addition(of: piece, at: offset, to: file)
    run(calls) { [self] result in
      switch result {
      case .failure(let error): done(.failure(error))
      case .success(let results):
        guard let row = Self.row(results[1]), row.isWhole || row.size == file.size else {
          return begin(file, piece, at: offset, done)
        }
        added(piece, at: offset, to: file, results[0], row, done)
      }
    }
  }

  private static func addition(of piece: [UInt8], at offset: Int, to file: FileReference) -> [PostgresCall] {
    let digest = SQLValue.text(file.digest.text)
    return [
      FileStatements.append(digest, .int(file.size), .int(offset), .bytes(piece)), FileStatements.state(digest),
    ]
  }

  /// The first piece of a file: it needs room.
  private func begin(
    _ file: FileReference, _ piece: [UInt8], at offset: Int, _ done: @escaping Done<ContentState>
  ) {
    guard file.size <= limits.maxFileBytes else {
      return done(.failure(.tooLarge(file, limit: limits.maxFileBytes)))
    }
    let (digest, size) = (SQLValue.text(file.digest.text), SQLValue.int(file.size))
    let calls =
      [
        FileStatements.lockRoom(), FileStatements.giveUp(digest, size, Self.microseconds(limits.partialAge)),
        FileStatements.begin(
          digest, size, .int(limits.maxFiles), .int(limits.maxBytes), .int(limits.maxPartials)),
      ] + Self.addition(of: piece, at: offset, to: file) + [FileStatements.room()]
    run(calls) { [self] result in
      switch result {
      case .failure(let error): done(.failure(error))
      case .success(let results):
        guard let row = Self.row(results[4]) else { return done(.failure(refusal(of: file, results[5].row(0)))) }
        // The same digest with another size, of which a piece comes this moment.
        guard row.isWhole || row.size == file.size else { return done(.success(.partial(0))) }
        added(piece, at: offset, to: file, results[3], row, done)
      }
    }
  }

  private func refusal(of file: FileReference, _ room: PostgresResult.Row) -> ContentError {
    if room.int(2) >= limits.maxPartials { return .tooMany("files that are not whole", limit: limits.maxPartials) }
    if room.int(0) >= limits.maxFiles { return .tooMany("files", limit: limits.maxFiles) }
    return .full(file, used: room.int(1), limit: limits.maxBytes)
  }

  /// - Parameters:
  ///   - growth: what `append` said: where the piece's new bytes began; nothing when there were none.
  ///   - row: how the file stands now.
  private func added(
    _ piece: [UInt8], at offset: Int, to file: FileReference, _ growth: PostgresResult, _ row: Row,
    _ done: @escaping Done<ContentState>
  ) {
    if row.isWhole { return done(Self.state(of: file, row)) }
    if growth.count > 0 { hash(piece, at: offset, of: file.digest, growth.row(0)) }
    guard row.have == file.size else { return done(.success(.partial(row.have))) }
    finish(file, row.id, done)
  }

  private func hash(_ piece: [UInt8], at offset: Int, of digest: FileDigest, _ growth: PostgresResult.Row) {
    let (id, before) = (growth.int64(0), growth.int(1))
    var running = hashes.removeValue(forKey: digest)
    if before == 0 { running = RunningHash(id: id, have: 0) }
    // Others have sent pieces of it as well, or an answer was lost.
    guard var running, running.id == id, running.have == before, hashes.count < Self.maxHashes else { return }
    running.hash.update(before == offset ? piece : Array(piece.dropFirst(before - offset)))
    running.have = offset + piece.count
    hashes[digest] = running
  }

  /// All pieces are there: it counts as whole once they were found to be what the digest says.
  private func finish(_ file: FileReference, _ id: Int64, _ done: @escaping Done<ContentState>) {
    let judge = { [self] (found: FileDigest) in
      guard found == file.digest else {
        return remove(id) { done(.failure($0 ?? .damaged(file, found: found))) }
      }
      run([FileStatements.complete(.int(id))]) { [self] result in
        switch result {
        case .failure(let error): done(.failure(error))
        // Nothing is there when somebody removed it meanwhile.
        case .success: readState(of: file, done)
        }
      }
    }
    if let running = hashes.removeValue(forKey: file.digest), running.id == id, running.have == file.size {
      return judge(FileDigest(running.hash.digest))
    }
    readBack(id, RunningHash(id: id, have: 0)) { result in
      switch result {
      case .failure(let error): done(.failure(error))
      case .success(let found): judge(found)
      }
    }
  }

  // MARK: Removing

  private func remove(_ id: Int64, _ done: @escaping (ContentError?) -> Void) {
    run([FileStatements.lockRoom(), FileStatements.remove(.int(id))]) { [self] result in
      guard case .failure(let error) = result else { return sweep { done(nil) } }
      done(error)
    }
  }

  func expire(unusedFor keep: Duration, settled: Duration, _ completion: @escaping ContentCompletion<Int>) {
    guard !isClosed else { return completion(.failure(.disk(.closed))) }
    start()
    // Whoever waited for the database says first what it needs. So this does not wait for it either.
    guard let upSince, loop.now - upSince >= settled else { return completion(.success(0)) }
    let expire = FileStatements.expire(Self.microseconds(keep), Self.microseconds(limits.partialAge))
    ask([FileStatements.forgetUses(), FileStatements.lockRoom(), expire]) { [self] answer in
      switch answer {
      case .failure(let error): completion(.failure(.disk(isClosed ? .closed : error.storeError(store))))
      case .success(let results):
        let count = results[2].count > 0 ? results[2].row(0).int(0) : 0
        sweep { [self] in
          guard count == FileStatements.expiredFiles else { return completion(.success(count)) }
          self.expire(unusedFor: keep, settled: settled) { rest in completion(rest.map { $0 + count }) }
        }
      }
    }
  }

  private static func microseconds(_ duration: Duration) -> SQLValue { .int(duration.wholeNanoseconds / 1_000) }

  /// Removes the pieces of files that are gone, some at a time. What cannot be removed now is removed the next time.
  private func sweep(_ done: @escaping () -> Void) {
    run([FileStatements.sweep()]) { [self] result in
      guard case .success(let results) = result, results[0].count > 0 else { return done() }
      sweep(done)
    }
  }
}

@available(*, unavailable) extension FileSession: Sendable {}
