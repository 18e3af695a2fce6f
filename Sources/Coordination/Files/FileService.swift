import CoordinationCore
import Primitives
import Reactor
import Storage

/// The coordinator's files, for clients and workers that ask. What takes time is done by the store, on its own thread or
/// by the database.
///
/// Where several coordinators share their files, the core's catalogue holds what this one was told of, and is trusted only
/// as long as nobody can have removed it:
///
/// > A file is removed at the earliest `keep` after its last use in the store. The catalogue forgets it no later than half
/// > of `keep` after the store was last asked for it, which is such a use. A submission that counts on it is recorded within
/// > the other half, and is a use in the same transaction; one that cannot be, because the store is away from this
/// > coordinator alone, is never recorded (its membership ends within a lease, of which `keep` is several), and if the store
/// > is away from everybody, nobody removes anything until it has been back for a while.
///
/// What is found to be damaged goes at once all the same; whoever counts on it learns that when it is read.
final class FileService {
  typealias Reply = (FileFrames.Frame) -> Void

  private enum Place {
    case own(StoreKind)
    case shared(any SharedContentKeeper)
  }

  /// How short `keep` may be where others share the files.
  private static let minSharedKeep = Duration.seconds(60)

  private let settings: FileSettings
  private let place: Place
  private let keep: Duration
  private let core: CoordinatorCore
  private let loop: EventLoop
  private let log: (LogEntry) -> Void
  /// Opened when the first file comes, unless there are files already: most coordinators never see one.
  private var store: ContentStore?
  private var timer: Timer?
  private var isClosed = false
  /// Files that the shared store was asked for since the last tidying, and those of the time before it.
  private var confirmed: Set<FileDigest> = []
  private var confirmedBefore: Set<FileDigest> = []

  init(
    _ settings: FileSettings, beside kind: StoreKind, _ core: CoordinatorCore, on loop: EventLoop,
    log: @escaping (LogEntry) -> Void
  ) throws(StoreError) {
    self.settings = settings
    place = .own(kind)
    keep = settings.keep
    self.core = core
    self.loop = loop
    self.log = log
    if let path, ContentStore.exists(at: path) { _ = try opened() }
  }

  /// - Parameter lease: how long a coordinator may be silent before it is none any more.
  init(
    _ settings: FileSettings, in store: any SharedContentKeeper, lease: Duration, _ core: CoordinatorCore,
    on loop: EventLoop, log: @escaping (LogEntry) -> Void
  ) {
    self.settings = settings
    place = .shared(store)
    keep = max(settings.keep, Self.minSharedKeep, lease * 8)
    self.core = core
    self.loop = loop
    self.log = log
    timer = loop.makeTimer { [weak self] in self?.tidyShared() }
    timer?.start(after: tidyInterval)
  }

  private var shared: (any SharedContentKeeper)? { if case .shared(let store) = place { store } else { nil } }

  /// What is there for now.
  private var keeper: (any ContentKeeper)? { shared ?? store }

  private var path: String? {
    if let path = settings.path { return path }
    guard case .own(.sqlite(let path)) = place else { return nil }
    return path + ".files"
  }

  private func opened() throws(StoreError) -> any ContentKeeper {
    if let shared { return shared }
    if let store { return store }
    guard !isClosed else { throw .closed }
    let store: ContentStore
    if let path {
      store = try ContentStore.open(path: path, limits: settings.limits)
    } else {
      store = try ContentStore.temporary(limits: settings.limits)
    }
    for (file, usedAt) in store.initial { core.files.add(file, usedAt: WallTime(milliseconds: usedAt)) }
    self.store = store
    timer = loop.makeTimer { [weak self] in self?.tidy() }
    tidy()
    return store
  }

  func close(_ completion: @escaping @Sendable () -> Void) {
    isClosed = true
    timer?.cancel()
    guard let keeper else { return completion() }
    keeper.close(completion)
  }

  // MARK: Answers

  /// - Parameter frame: a question, whose answer goes to `reply` once what it says is durable.
  func answer(_ frame: FileFrames.Frame, _ reply: @escaping Reply) {
    do throws(MessageError) {
      let reader = FieldReader(frame.words)
      switch frame.words["type"]?.string {
      case FileWords.status: try status(FileReference(reader), reply)
      case FileWords.get: try get(reader, reply)
      case FileWords.put: try put(reader, frame.piece, reply)
      default: fail("bad_request", "unknown type of file message", reply)
      }
    } catch { fail("bad_request", "\(error)", reply) }
  }

  private func status(_ file: FileReference, _ reply: @escaping Reply) {
    if let shared {
      // Whoever asks is about to count on it.
      return shared.find(
        [file.digest],
        answering(reply) { [self] found in
          know(found)
          if core.files.has(file) { return say(file, .whole, reply) }
          shared.state(of: file, answering(reply) { [self] in say(file, $0, reply) })
        })
    }
    if core.files.has(file) {
      touch(file)
      return say(file, .whole, reply)
    }
    guard let store else { return say(file, .partial(0), reply) }
    store.state(of: file, answering(reply) { [weak self] in self?.say(file, $0, reply) })
  }

  private func get(_ reader: FieldReader, _ reply: @escaping Reply) throws(MessageError) {
    let digest = try FileDigest(reader)
    let offset = try reader.integer("offset", in: 0...FileLimits.maxBytes)
    let count = try reader.integer("length", in: 0...FileLimits.maxChunkBytes)
    let again = try reader.optionalBool("again") ?? false
    if let shared, core.files.size(of: digest) == nil {
      return shared.find(
        [digest],
        answering(reply) { [self] found in
          know(found)
          get(digest, offset, count, again, reply)
        })
    }
    get(digest, offset, count, again, reply)
  }

  private func get(_ digest: FileDigest, _ offset: Int, _ count: Int, _ again: Bool, _ reply: @escaping Reply) {
    guard let keeper, let size = core.files.size(of: digest) else {
      return fail("not_found", "the coordinator has no file \(digest)", reply)
    }
    let file = FileReference(digest, size: size)
    keeper.read(
      file, offset: offset, count: min(count, max(0, size - offset)), verifying: again,
      answering(reply) { piece in
        reply(
          FileFrames.Frame(
            ["type": "reply", "offset": .integer(Int64(offset)), "size": .integer(Int64(size))], piece))
      })
  }

  private func put(_ reader: FieldReader, _ piece: [UInt8], _ reply: @escaping Reply) throws(MessageError) {
    let file = try FileReference(reader)
    let offset = try reader.integer("offset", in: 0...FileLimits.maxBytes)
    guard piece.count <= FileLimits.maxChunkBytes else {
      throw .badValue("piece", problem: "\(piece.count) bytes; at most \(FileLimits.maxChunkBytes) are allowed")
    }
    if core.files.has(file) { return say(file, .whole, reply) }
    let store: any ContentKeeper
    do { store = try opened() } catch { return fail("unavailable", "files cannot be kept: \(error)", reply) }
    store.append(
      file, offset: offset, piece,
      answering(reply) { [weak self] state in
        guard let self else { return }
        if state == .whole { know([file]) }
        self.say(file, state, reply)
      })
  }

  /// The store has said that it has these.
  private func know(_ files: [FileReference]) {
    let wall = SystemWallClock.now()
    for file in files {
      core.files.add(file, usedAt: wall)
      if shared != nil { confirmed.insert(file.digest) }
    }
  }

  private func say(_ file: FileReference, _ state: ContentState, _ reply: Reply) {
    let offset = if case .partial(let count) = state { count } else { file.size }
    reply(
      FileFrames.Frame(
        ["type": "reply", "offset": .integer(Int64(offset)), "stored": .bool(state == .whole)]))
  }

  /// What is heard while there is no place among others that share the files.
  static var unavailable: FileFrames.Frame {
    FileFrames.Frame(
      [
        "type": "error", "code": "unavailable",
        "message": "the coordinator takes its place anew; ask again in a moment",
      ])
  }

  private func fail(_ code: String, _ message: String, _ reply: Reply) {
    reply(FileFrames.Frame(["type": "error", "code": .string(code), "message": .string(message)]))
  }

  /// Brings the store's answer to the loop, and says what was wrong.
  private func answering<Value: Sendable>(
    _ reply: @escaping Reply, _ body: @escaping (Value) -> Void
  ) -> ContentCompletion<Value> {
    let (mailbox, bound) = (loop.mailbox, LoopBound((self, reply, body), to: loop))
    return { result in
      mailbox.post {
        let (service, reply, body) = bound.value
        switch result {
        case .success(let value): body(value)
        case .failure(let error): service.failed(error, reply)
        }
      }
    }
  }

  private func failed(_ error: ContentError, _ reply: Reply) {
    switch error {
    case .damaged: fail("damaged", "\(error)", reply)
    case .missing(let digest):
      // It was there, and somebody took it or changed it: nobody may count on it any more.
      if core.files.size(of: digest) != nil {
        log(LogEntry(.error, "a file is gone or damaged; it must be sent again", ["sha256": digest.text]))
        core.files.remove(digest)
      }
      fail("not_found", "the coordinator's copy of file \(digest) is gone or damaged; send it again", reply)
    case .tooLarge, .full, .tooMany, .otherSize: fail("refused", "\(error)", reply)
    case .badRange: fail("bad_request", "\(error)", reply)
    case .disk(let problem):
      if !isClosed { log(LogEntry(.error, "files cannot be kept", ["error": "\(problem)"])) }
      fail("unavailable", "\(error)", reply)
    }
  }

  private func touch(_ file: FileReference) {
    core.files.add(file, usedAt: SystemWallClock.now())
    store?.touch([file.digest])
  }

  // MARK: What others have

  /// Asks the shared store for files that the core does not know, until it has answered; then calls `body`.
  func find(_ digests: [FileDigest], _ body: @escaping () -> Void) {
    guard let shared, !isClosed else { return }
    let (mailbox, bound) = (loop.mailbox, LoopBound((self, body), to: loop))
    shared.find(digests) { result in
      mailbox.post { (loop: EventLoop) in
        let (service, body) = bound.value
        switch result {
        case .success(let found):
          service.know(found)
          body()
        case .failure(let error):
          // A task must not fail for it.
          guard !service.isClosed else { return }
          service.log(LogEntry(.error, "files cannot be looked for; trying again", ["error": "\(error)"]))
          loop.schedule(after: .seconds(1)) { service.find(digests, body) }
        }
      }
    }
  }

  // MARK: What is not needed any more

  /// Files leave the catalogue first, so that nobody can begin to count on one that is about to be removed.
  private func tidy() {
    guard let store else { return }
    let expired = core.files.expired(
      after: settings.keep, at: SystemWallClock.now(), needed: core.neededFiles)
    for digest in expired { core.files.remove(digest) }
    store.remove(expired)
    if !expired.isEmpty { log(LogEntry(.info, "files removed that nobody needs", ["files": "\(expired.count)"])) }
    timer?.start(after: tidyInterval)
  }

  private var tidyInterval: Duration { min(.seconds(600), max(.seconds(1), keep / 4)) }

  /// The second time since the store was asked for a file the catalogue forgets it: see the rule above.
  private func tidyShared() {
    guard let shared else { return }
    for digest in confirmedBefore.subtracting(confirmed) { core.files.remove(digest) }
    (confirmedBefore, confirmed) = (confirmed, [])
    let (mailbox, bound) = (loop.mailbox, LoopBound(self, to: loop))
    shared.expire(unusedFor: keep, settled: tidyInterval) { result in
      mailbox.post {
        guard case .success(let count) = result, count > 0 else { return }
        bound.value.log(LogEntry(.info, "files removed that nobody needs", ["files": "\(count)"]))
      }
    }
    timer?.start(after: tidyInterval)
  }
}

@available(*, unavailable) extension FileService: Sendable {}
