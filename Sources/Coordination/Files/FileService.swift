import CoordinationCore
import Primitives
import Reactor
import Storage

/// The coordinator's files, for clients and workers that ask. The disk's work is done on the store's own thread.
final class FileService {
  typealias Reply = (FileFrames.Frame) -> Void

  private let settings: FileSettings
  private let kind: StoreKind
  private let core: CoordinatorCore
  private let loop: EventLoop
  private let log: (LogEntry) -> Void
  /// Opened when the first file comes, unless there are files already: most coordinators never see one.
  private var store: ContentStore?
  private var timer: Timer?
  private var isClosed = false

  init(
    _ settings: FileSettings, beside kind: StoreKind, _ core: CoordinatorCore, on loop: EventLoop,
    log: @escaping (LogEntry) -> Void
  ) throws(StoreError) {
    self.settings = settings
    self.kind = kind
    self.core = core
    self.loop = loop
    self.log = log
    if let path, ContentStore.exists(at: path) { _ = try opened() }
  }

  private var path: String? {
    if let path = settings.path { return path }
    guard case .sqlite(let path) = kind else { return nil }
    return path + ".files"
  }

  private func opened() throws(StoreError) -> ContentStore {
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
    guard let store else { return completion() }
    store.close(completion)
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
    guard let store, let size = core.files.size(of: digest) else {
      return fail("not_found", "the coordinator has no file \(digest)", reply)
    }
    let file = FileReference(digest, size: size)
    store.read(
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
    let store: ContentStore
    do { store = try opened() } catch { return fail("unavailable", "files cannot be kept: \(error)", reply) }
    store.append(
      file, offset: offset, piece,
      answering(reply) { [weak self] state in
        guard let self else { return }
        if state == .whole { self.core.files.add(file, usedAt: SystemWallClock.now()) }
        self.say(file, state, reply)
      })
  }

  private func say(_ file: FileReference, _ state: ContentState, _ reply: Reply) {
    let offset = if case .partial(let count) = state { count } else { file.size }
    reply(
      FileFrames.Frame(
        ["type": "reply", "offset": .integer(Int64(offset)), "stored": .bool(state == .whole)]))
  }

  /// What everybody hears where no files are kept.
  static func refusal(_ message: String) -> FileFrames.Frame {
    FileFrames.Frame(["type": "error", "code": "refused", "message": .string(message)])
  }

  private func fail(_ code: String, _ message: String, _ reply: Reply) {
    reply(FileFrames.Frame(["type": "error", "code": .string(code), "message": .string(message)]))
  }

  /// Brings the store's answer to the loop, and says what was wrong.
  private func answering<Value: Sendable>(
    _ reply: @escaping Reply, _ body: @escaping (Value) -> Void
  ) -> ContentStore.Completion<Value> {
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
      log(LogEntry(.error, "files cannot be kept", ["error": "\(problem)"]))
      fail("unavailable", "\(error)", reply)
    }
  }

  private func touch(_ file: FileReference) {
    core.files.add(file, usedAt: SystemWallClock.now())
    store?.touch([file.digest])
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
    timer?.start(after: min(.seconds(600), max(.seconds(1), settings.keep / 4)))
  }
}

@available(*, unavailable) extension FileService: Sendable {}
