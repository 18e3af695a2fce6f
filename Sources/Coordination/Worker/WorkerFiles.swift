import CoordinationCore
import Reactor
import Storage

/// A worker's files: the cache, what is on its way from and to the coordinator, and the folders that attempts run in.
///
/// Several attempts that need one file get it once. A file is pinned in the cache from when it is there until it is where
/// it is needed, so nothing pushes it out in between.
final class WorkerFiles: FileCourierDisk {
  private let settings: FileCacheSettings
  private let loop: EventLoop
  private let log: (LogEntry) -> Void
  private var store: ContentStore?
  private lazy var courier = FileCourier(self, on: loop)
  private var frames: FileFrames?
  private weak var link: WorkerLinkSocket?
  private var questions: [Int64: (FileFrames.Frame) -> Void] = [:]
  private var lastQuestion: Int64 = 0
  /// How many attempts wait for each file that is on its way here.
  private var wanted: [FileDigest: Int] = [:]

  init(_ settings: FileCacheSettings, on loop: EventLoop, log: @escaping (LogEntry) -> Void) {
    self.settings = settings
    self.loop = loop
    self.log = log
  }

  /// Opened with the first task that has files: most workers never see one.
  private func opened() throws(StoreError) -> ContentStore {
    if let store { return store }
    guard let path = settings.path else { throw .closed }
    var limits = ContentLimits()
    limits.maxBytes = settings.maxBytes
    limits.maxFileBytes = settings.maxBytes
    limits.evicts = true
    limits.isDurable = false
    try ContentStore.makeFolder(at: path)
    let store = try ContentStore.openFree(in: path, limits: limits)
    self.store = store
    return store
  }

  func close(_ completion: @escaping @Sendable () -> Void) {
    lineDown()
    guard let store else { return completion() }
    store.close(completion)
  }

  // MARK: The connection

  /// The worker is registered over a connection.
  func lineUp(_ link: WorkerLinkSocket, _ frames: FileFrames) {
    self.link = link
    self.frames = frames
    courier.canSend = { [weak link] in link?.isHeldBack == false }
    courier.use { [weak self] frame, answered in self?.ask(frame, answered) }
  }

  func lineDown() {
    link = nil
    frames = nil
    questions = [:]
    courier.use(nil)
  }

  /// The connection takes more, and nothing else waits for it.
  func pump() { courier.pump() }

  private func ask(_ frame: FileFrames.Frame, _ answered: @escaping (FileFrames.Frame) -> Void) {
    guard let link, let frames else { return }
    lastQuestion += 1
    questions[lastQuestion] = answered
    var frame = frame
    frame.words["request_id"] = .integer(lastQuestion)
    link.send(file: frames.seal(frame))
  }

  /// - Returns: what is wrong with the message; the connection cannot be trusted then.
  func received(_ bytes: [UInt8]) -> MessageError? {
    guard let frames else { return nil }
    do throws(MessageError) {
      let frame = try frames.open(bytes)
      guard let number = frame.words["request_id"]?.integer else { return nil }
      questions.removeValue(forKey: number)?(frame)
      return nil
    } catch { return error }
  }

  // MARK: Files in

  /// Puts a task's inputs into a fresh folder and answers where that is.
  func stage(_ inputs: [TaskInput], _ done: @escaping (Result<String, FileProblem>) -> Void) -> Staging {
    let staging = Staging(done)
    do throws(StoreError) {
      let store = try opened()
      var files: Set<FileReference> = []
      for input in inputs { files.insert(input.file) }
      staging.missing = files.count
      if files.isEmpty { place(inputs, staging, store) }
      for file in files { pin(file, staging, store) { [self] in place(inputs, staging, store) } }
    } catch {
      staging.end(.failure(FileProblem("the worker's cache of files cannot be used: \(error)")))
    }
    return staging
  }

  /// One attempt's wait for its files.
  final class Staging {
    fileprivate var missing = 0
    fileprivate var pinned: [FileDigest] = []
    fileprivate var waitsFor: Set<FileDigest> = []
    private var done: ((Result<String, FileProblem>) -> Void)?

    fileprivate init(_ done: @escaping (Result<String, FileProblem>) -> Void) { self.done = done }

    fileprivate var isOver: Bool { done == nil }

    fileprivate func end(_ result: Result<String, FileProblem>) {
      let done = done.take()
      done?(result)
    }

    fileprivate func abandon() { done = nil }
  }

  /// The attempt does not want to wait any longer.
  func abandon(_ staging: Staging) {
    staging.abandon()
    release(staging)
  }

  private func release(_ staging: Staging) {
    store?.unpin(staging.pinned)
    staging.pinned = []
    for digest in staging.waitsFor { leave(digest) }
    staging.waitsFor = []
  }

  private func leave(_ digest: FileDigest) {
    guard let count = wanted[digest] else { return }
    wanted[digest] = count > 1 ? count - 1 : nil
    // What is here of it stays, and the next who needs it goes on from there.
    if count == 1 { courier.forget(digest, .incoming) }
  }

  private func pin(
    _ file: FileReference, _ staging: Staging, _ store: ContentStore, isFetched: Bool = false,
    then body: @escaping () -> Void
  ) {
    store.pin(
      file,
      onLoop { [self] result in
        guard !staging.isOver else {
          if case .success(true) = result { store.unpin([file.digest]) }
          return
        }
        switch result {
        case .success(true):
          staging.pinned.append(file.digest)
          staging.missing -= 1
          if staging.missing == 0 { body() }
        case .success(false) where !isFetched: fetch(file, staging, store, then: body)
        case .success(false): fail(staging, FileProblem("the file \(file.digest) does not stay in the worker's cache"))
        case .failure(let error): fail(staging, FileProblem("\(error)"))
        }
      })
  }

  private func fetch(
    _ file: FileReference, _ staging: Staging, _ store: ContentStore, then body: @escaping () -> Void
  ) {
    let digest = file.digest
    staging.waitsFor.insert(digest)
    wanted[digest, default: 0] += 1
    store.state(
      of: file,
      onLoop { [self] result in
        guard !staging.isOver else { return }
        let have = if case .success(.partial(let count)) = result { count } else { 0 }
        courier.get(file, from: have) { [self] result in
          guard !staging.isOver else { return }
          if staging.waitsFor.remove(digest) != nil { leave(digest) }
          switch result {
          case .success: pin(file, staging, store, isFetched: true, then: body)
          case .failure(let problem): fail(staging, problem)
          }
        }
      })
  }

  private func fail(_ staging: Staging, _ problem: FileProblem) {
    release(staging)
    staging.end(.failure(FileProblem("its inputs cannot be had: \(problem)")))
  }

  private func place(_ inputs: [TaskInput], _ staging: Staging, _ store: ContentStore) {
    store.makeWorkFolder(
      onLoop { [self] result in
        switch result {
        case .failure(let error): fail(staging, FileProblem("\(error)"))
        case .success(let folder):
          store.place(
            inputs, in: folder,
            onLoop { [self] result in
              release(staging)
              guard !staging.isOver else { return store.removeWorkFolder(folder) }
              switch result {
              case .success: staging.end(.success(folder))
              case .failure(let error):
                store.removeWorkFolder(folder)
                staging.end(.failure(FileProblem("its inputs cannot be put into its folder: \(error)")))
              }
            })
        }
      })
  }

  // MARK: Files out

  /// One attempt's outputs on their way to the coordinator.
  final class Sending {
    fileprivate var missing: Set<FileDigest> = []
    fileprivate var pinned: [FileDigest] = []
    fileprivate var done: ((Result<[TaskOutput], FileProblem>) -> Void)?

    fileprivate init(_ done: @escaping (Result<[TaskOutput], FileProblem>) -> Void) { self.done = done }

    fileprivate func end(_ result: Result<[TaskOutput], FileProblem>) {
      let done = done.take()
      done?(result)
    }
  }

  /// Hands what an attempt left in its folder to the coordinator, and answers once that has it for good.
  func send(
    _ patterns: [GlobPattern], from folder: String, _ done: @escaping (Result<[TaskOutput], FileProblem>) -> Void
  ) -> Sending {
    let sending = Sending(done)
    guard let store else {
      sending.end(.failure(FileProblem("the worker has stopped")))
      return sending
    }
    let (mailbox, bound) = (loop.mailbox, LoopBound((self, sending, store), to: loop))
    store.collect(patterns, from: folder, limits: settings.collection) { result in
      mailbox.post {
        let (files, sending, store) = bound.value
        files.collected(result, sending, store)
      }
    }
    return sending
  }

  private func collected(
    _ result: Result<[TaskOutput], CollectionError>, _ sending: Sending, _ store: ContentStore
  ) {
    switch result {
    case .failure(let error): sending.end(.failure(FileProblem("its outputs cannot be kept: \(error)")))
    case .success(let outputs):
      guard sending.done != nil else { return store.unpin(outputs.map(\.file.digest)) }
      sending.pinned = outputs.map(\.file.digest)
      var files: [FileDigest: FileReference] = [:]
      for output in outputs { files[output.file.digest] = output.file }
      sending.missing = Set(files.keys)
      if files.isEmpty { return sending.end(.success([])) }
      for file in files.values.sorted(by: { $0.digest < $1.digest }) {
        courier.send(file) { [self] result in
          guard sending.done != nil else { return }
          switch result {
          case .failure(let problem):
            abandonPins(sending)
            sending.end(.failure(FileProblem("its outputs cannot be kept by the coordinator: \(problem)")))
          case .success:
            sending.missing.remove(file.digest)
            guard sending.missing.isEmpty else { return }
            abandonPins(sending)
            sending.end(.success(outputs))
          }
        }
      }
    }
  }

  private func abandonPins(_ sending: Sending) {
    store?.unpin(sending.pinned)
    sending.pinned = []
  }

  /// Nobody waits for it any more; what is on its way already goes on.
  func abandon(_ sending: Sending) {
    sending.done = nil
    abandonPins(sending)
  }

  /// A command may leave a million files, for which neither the loop nor the cache has the time.
  func remove(_ folder: String) {
    guard (try? BackgroundThread.start { FileTree.remove(folder) }) != nil else { return FileTree.remove(folder) }
  }

  // MARK: The courier's disk

  func read(
    _ file: FileReference, offset: Int, count: Int, _ done: @escaping (Result<[UInt8], FileProblem>) -> Void
  ) {
    guard let store else { return done(.failure(FileProblem("the worker has stopped"))) }
    store.read(file, offset: offset, count: count, onLoop { done($0.mapError { FileProblem("\($0)") }) })
  }

  func write(
    _ file: FileReference, offset: Int, _ piece: [UInt8], _ done: @escaping (Result<Void, FileProblem>) -> Void
  ) {
    guard let store else { return done(.failure(FileProblem("the worker has stopped"))) }
    store.append(
      file, offset: offset, piece,
      onLoop { result in
        switch result {
        // It is found out again when the whole is looked at, and asked for again.
        case .success, .failure(.damaged): done(.success(()))
        case .failure(let error): done(.failure(FileProblem("\(error)")))
        }
      })
  }

  func verify(_ file: FileReference, _ done: @escaping (Bool) -> Void) {
    guard let store else { return done(false) }
    store.append(
      file, offset: file.size, [],
      onLoop { [log] result in
        if case .success(.whole) = result { return done(true) }
        log(LogEntry(.warning, "a file arrived damaged", ["sha256": file.digest.text, "outcome": "\(result)"]))
        done(false)
      })
  }

  private func onLoop<Value: Sendable>(
    _ body: @escaping (Result<Value, ContentError>) -> Void
  ) -> ContentStore.Completion<Value> {
    let (mailbox, bound) = (loop.mailbox, LoopBound(body, to: loop))
    return { result in mailbox.post { bound.value(result) } }
  }
}

@available(*, unavailable) extension WorkerFiles: Sendable {}
