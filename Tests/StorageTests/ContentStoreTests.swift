import CoordinationCore
import Cryptography
import Glibc
import Primitives
import TestSupport
import Testing

@testable import Storage

/// A folder with folders in it, removed with its last reference.
private final class Tree: Sendable {
  let path: String

  init() {
    var template = Array("/tmp/lifeline-content-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("mkdtemp: errno \(errno)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { FileRemoval.removeTree(path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func write(_ name: String, _ bytes: [UInt8]) throws {
    let file = try File.open(self.file(name), O_RDWR | O_CREAT | O_TRUNC)
    try file.write(bytes, at: 0)
  }

  func bytes(_ name: String) -> [UInt8]? {
    guard let file = try? File.open(self.file(name), O_RDONLY), let size = try? file.size() else { return nil }
    return try? file.read(size)
  }
}

private func content(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) ^ seed }
}

private func reference(_ bytes: [UInt8]) -> FileReference {
  FileReference(FileDigest(SHA256.digest(of: bytes)), size: bytes.count)
}

@Suite(.timeLimit(.minutes(2)))
struct ContentFolderTests {
  private let tree = Tree()

  private func open(_ adjust: (inout ContentLimits) -> Void = { _ in }) throws -> ContentFolder {
    var limits = ContentLimits()
    adjust(&limits)
    return try ContentFolder(tree.file("files"), limits)
  }

  @Test(arguments: [0, 1, 1_000, 200_000])
  func `a file in pieces is there once it is whole, under its digest and read-only`(size: Int) throws {
    let folder = try open()
    let bytes = content(size)
    let file = reference(bytes)
    var offset = 0
    repeat {
      #expect(try folder.state(of: file) == .partial(offset))
      let piece = Array(bytes[offset..<min(offset + 70_000, size)])
      let state = try folder.append(file, offset: offset, piece)
      offset += piece.count
      #expect(state == (offset == size ? .whole : .partial(offset)))
    } while offset < size
    let text = file.digest.text
    let place = tree.file("files/\(text.prefix(2))/\(text.dropFirst(2).prefix(2))/\(text)")
    let status = try #require(FileStatus(at: place))
    #expect(status.mode & 0o777 == 0o444)
    #expect(try folder.read(file, offset: 0, count: size) == bytes)
    #expect(FolderListing.names(in: tree.file("files/partial")).isEmpty)
    #expect(folder.bytes == size)
  }

  @Test func `a piece that is sent twice, overlaps or leaves a gap does no harm`() throws {
    let folder = try open()
    let bytes = content(1_000)
    let file = reference(bytes)
    #expect(try folder.append(file, offset: 0, Array(bytes[..<400])) == .partial(400))
    #expect(try folder.append(file, offset: 0, Array(bytes[..<400])) == .partial(400))
    #expect(try folder.append(file, offset: 500, Array(bytes[500...])) == .partial(400))
    #expect(try folder.append(file, offset: 300, Array(bytes[300..<600])) == .partial(600))
    #expect(try folder.append(file, offset: 600, Array(bytes[600...])) == .whole)
    #expect(try folder.append(file, offset: 600, Array(bytes[600...])) == .whole)
    #expect(try folder.read(file, offset: 0, count: 1_000) == bytes)
  }

  @Test func `what arrives under a wrong digest is found out and leaves nothing behind`() throws {
    let folder = try open()
    let file = reference(content(100))
    let other = content(100, 9)
    #expect(throws: ContentError.damaged(file, found: reference(other).digest)) {
      try folder.append(file, offset: 0, other)
    }
    #expect(try folder.state(of: file) == .partial(0))
    #expect(folder.bytes == 0)
    #expect(try folder.append(file, offset: 0, content(100)) == .whole)
  }

  @Test func `an upload goes on after a crash from the bytes that were written`() throws {
    let bytes = content(300_000)
    let file = reference(bytes)
    do {
      let folder = try open()
      #expect(try folder.append(file, offset: 0, Array(bytes[..<123_456])) == .partial(123_456))
    }
    let folder = try open()
    #expect(try folder.state(of: file) == .partial(123_456))
    #expect(folder.bytes == 300_000)
    #expect(try folder.append(file, offset: 123_456, Array(bytes[123_456...])) == .whole)
    #expect(try folder.read(file, offset: 0, count: 300_000) == bytes)
    // And it is still there after the next start, by its digest.
    #expect(try open().contents.map(\.file) == [file])
  }

  @Test func `a crash between the last byte and the new name leaves a file that the next piece completes`() throws {
    let bytes = content(1_000)
    let file = reference(bytes)
    _ = try open()
    try tree.write("files/partial/\(file.digest.text).1000", bytes)
    let folder = try open()
    #expect(try folder.state(of: file) == .partial(1_000))
    #expect(try folder.append(file, offset: 1_000, []) == .whole)
  }

  @Test func `bytes that a crash turned into others are found out when the file is whole`() throws {
    let bytes = content(1_000)
    let file = reference(bytes)
    _ = try open()
    try tree.write("files/partial/\(file.digest.text).1000", [UInt8](repeating: 0, count: 500))
    let folder = try open()
    #expect(throws: ContentError.self) { try folder.append(file, offset: 500, Array(bytes[500...])) }
    #expect(try folder.append(file, offset: 0, bytes) == .whole)
  }

  @Test func `leftovers that are no file's part are removed at the start`() throws {
    _ = try open()
    try tree.write("files/partial/rubbish", [1])
    try tree.write("files/partial/\(reference([1]).digest.text).0", [1, 2])
    _ = try open()
    #expect(FolderListing.names(in: tree.file("files/partial")).isEmpty)
  }

  @Test func `a stored file that changed on the disk is found out by its hash and removed`() throws {
    let folder = try open()
    let bytes = content(1_000)
    let file = reference(bytes)
    _ = try folder.append(file, offset: 0, bytes)
    let place = folder.place(of: file.digest)
    chmod(place, 0o644)
    try File.open(place, O_RDWR).write([99], at: 500)
    #expect(try !folder.verify(file.digest))
    #expect(FileStatus(at: place) == nil)
    #expect(throws: ContentError.missing(file.digest)) { try folder.read(file, offset: 0, count: 1) }
  }

  @Test func `a cached file that somebody changed behind its back is not pinned`() throws {
    let folder = try open { $0.evicts = true }
    let bytes = content(1_000)
    let file = reference(bytes)
    _ = try folder.append(file, offset: 0, bytes)
    #expect(try folder.pin(file))
    let place = folder.place(of: file.digest)
    chmod(place, 0o644)
    try File.open(place, O_RDWR).write([99], at: 500)
    // On a file system with coarse times, so that the change cannot be missed.
    var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
    utimensat(AT_FDCWD, place, &times, 0)
    #expect(try !folder.pin(file))
    #expect(try folder.state(of: file) == .partial(0))
  }

  @Test func `more than may be kept is refused with the bound's name`() throws {
    let folder = try open {
      $0.maxFileBytes = 1_000
      $0.maxBytes = 1_500
    }
    let large = FileReference(FileDigest(SHA256.digest(of: "large")), size: 1_001)
    #expect(throws: ContentError.tooLarge(large, limit: 1_000)) { try folder.append(large, offset: 0, [1]) }
    // The first is not whole, and its place is taken nevertheless.
    #expect(try folder.append(reference(content(1_000)), offset: 0, [content(1_000)[0]]) == .partial(1))
    let second = reference(content(600, 2))
    #expect(throws: ContentError.full(second, used: 1_000, limit: 1_500)) {
      try folder.append(second, offset: 0, content(600, 2))
    }
    #expect("\(ContentError.full(second, used: 1_000, limit: 1_500))".contains("--max-files-bytes"))
    #expect(try folder.append(reference(content(500, 3)), offset: 0, content(500, 3)) == .whole)
  }

  @Test func `files that are not whole are bounded in number`() throws {
    let folder = try open { $0.maxPartials = 2 }
    for seed in 1...2 as ClosedRange<UInt8> {
      #expect(try folder.append(reference(content(10, seed)), offset: 0, [content(10, seed)[0]]) == .partial(1))
    }
    #expect(throws: ContentError.self) { try folder.append(reference(content(10, 3)), offset: 0, [1]) }
  }

  @Test func `one that nobody came back for makes room for another`() throws {
    let folder = try open {
      $0.maxPartials = 1
      $0.partialAge = .seconds(-10)
    }
    #expect(try folder.append(reference(content(10)), offset: 0, [content(10)[0]]) == .partial(1))
    #expect(try folder.append(reference(content(10, 2)), offset: 0, content(10, 2)) == .whole)
    #expect(folder.bytes == 10)
  }

  @Test func `a cache removes what was not used for longest, and never what is in use`() throws {
    let folder = try open {
      $0.maxBytes = 2_500
      $0.evicts = true
    }
    let files = (1...4 as ClosedRange<UInt8>).map { content(1_000, $0) }
    _ = try folder.append(reference(files[0]), offset: 0, files[0])
    #expect(try folder.pin(reference(files[0])))
    _ = try folder.append(reference(files[1]), offset: 0, files[1])
    _ = try folder.append(reference(files[2]), offset: 0, files[2])
    #expect(try folder.state(of: reference(files[0])) == .whole)
    #expect(try folder.state(of: reference(files[1])) == .partial(0))
    #expect(try folder.pin(reference(files[2])))
    #expect(throws: ContentError.self) { try folder.append(reference(files[3]), offset: 0, files[3]) }
    folder.unpin(reference(files[0]).digest)
    #expect(try folder.append(reference(files[3]), offset: 0, files[3]) == .whole)
    #expect(try folder.state(of: reference(files[0])) == .partial(0))
  }

  /// In a process of its own, since the limit would hold for every other test's files too.
  @Test func `a full disk is an error that says so, and the file goes on once there is room`() async {
    await #expect(processExitsWith: .success) {
      let tree = Tree()
      let folder = try ContentFolder(tree.file("files"), ContentLimits())
      let bytes = content(100_000)
      let file = reference(bytes)
      let begun = try folder.append(file, offset: 0, Array(bytes[..<1_000]))
      precondition(begun == .partial(1_000))
      // Every write beyond fails, as it does on a full disk.
      signal(SIGXFSZ, SIG_IGN)
      var before = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before)
      var limit = before
      limit.rlim_cur = 1_000
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      let result = Result { try folder.append(file, offset: 1_000, Array(bytes[1_000...])) }
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before)
      guard case .failure(let error as ContentError) = result, case .disk = error else { fatalError("\(result)") }
      precondition("\(error)".contains("files/partial"))
      let ended = try folder.append(file, offset: 1_000, Array(bytes[1_000...]))
      precondition(ended == .whole)
    }
  }
}

@Suite(.timeLimit(.minutes(2)))
struct WorkingTreeTests {
  private let tree = Tree()

  private func make(_ names: String...) throws {
    for name in names { mkdir(tree.file(name), 0o755) }
  }

  @Test func `inputs are put where they belong, and cannot be written`() throws {
    try make("cache", "work")
    try tree.write("cache/x", [1, 2, 3])
    chmod(tree.file("cache/x"), 0o444)
    let work = try WorkingTree(tree.file("work"))
    try work.place(tree.file("cache/x"), at: "a/b/c", isExecutable: false)
    try work.place(tree.file("cache/x"), at: "run", isExecutable: true)
    #expect(tree.bytes("work/a/b/c") == [1, 2, 3])
    #expect(FileStatus(at: tree.file("work/a/b/c"))?.mode == S_IFREG | 0o444)
    #expect(FileStatus(at: tree.file("work/run"))?.mode == S_IFREG | 0o555)
    // What may be executed is a copy: the cache's own file never is.
    #expect(FileStatus(at: tree.file("cache/x"))?.mode == S_IFREG | 0o444)
  }

  @Test func `no link on the way is followed`() throws {
    try make("outside", "work", "cache")
    try tree.write("cache/x", [1])
    symlink(tree.file("outside"), tree.file("work/link"))
    let work = try WorkingTree(tree.file("work"))
    #expect(throws: FileError.self) { try work.place(tree.file("cache/x"), at: "link/x", isExecutable: false) }
    #expect(throws: FileError.self) {
      try work.copy(try File.open(tree.file("cache/x"), O_RDONLY), to: "link/x", mode: 0o644)
    }
    symlink(tree.file("outside/y"), tree.file("work/y"))
    #expect(throws: FileError.self) { try work.place(tree.file("cache/x"), at: "y", isExecutable: true) }
    // A file of that name is replaced, the link itself and not what it leads to.
    try work.copy(try File.open(tree.file("cache/x"), O_RDONLY), to: "y", mode: 0o644)
    #expect(FolderListing.names(in: tree.file("outside")).isEmpty)
    #expect(tree.bytes("work/y") == [1])
  }

  @Test func `only regular files that a pattern means are collected, and what lies behind links is not`() throws {
    try make("outside", "work", "work/out", "work/out/deep")
    try tree.write("outside/secret", [7])
    try tree.write("work/out/a", [1])
    try tree.write("work/out/deep/b", [2, 2])
    try tree.write("work/no", [3])
    symlink(tree.file("outside/secret"), tree.file("work/out/secret"))
    symlink(tree.file("outside"), tree.file("work/out/folder"))
    mkfifo(tree.file("work/out/pipe"), 0o600)
    chmod(tree.file("work/out/a"), 0o750)
    let folder = try ContentFolder(tree.file("cache"), ContentLimits())
    let outputs = try OutputCollector(folder, [GlobPattern("out/**")], CollectionLimits())
      .collect(from: tree.file("work"))
    #expect(outputs.map(\.path) == ["out/a", "out/deep/b"])
    #expect(outputs.first?.mode == 0o750)
    #expect(try folder.read(outputs[1].file, offset: 0, count: 2) == [2, 2])
  }

  @Test func `what a command leaves is bounded in number, bytes and names looked at`() throws {
    try make("work")
    for number in 0..<5 { try tree.write("work/\(number)", content(100, UInt8(number))) }
    let folder = try ContentFolder(tree.file("cache"), ContentLimits())
    func collect(_ adjust: (inout CollectionLimits) -> Void) throws -> [TaskOutput] {
      var limits = CollectionLimits()
      adjust(&limits)
      return try OutputCollector(folder, [GlobPattern("*")], limits).collect(from: tree.file("work"))
    }
    #expect(try collect { $0.maxFiles = 5 }.count == 5)
    #expect(throws: CollectionError.tooManyFiles(limit: 4)) { try collect { $0.maxFiles = 4 } }
    #expect(throws: CollectionError.tooManyBytes(limit: 499)) { try collect { $0.maxBytes = 499 } }
    #expect(throws: CollectionError.tooManyEntries(limit: 4)) { try collect { $0.maxEntries = 4 } }
  }

  @Test func `outputs are not written outside of the folder that was asked for`() throws {
    try make("outside", "target")
    symlink(tree.file("outside"), tree.file("target/link"))
    let folder = try OutputFolder(tree.file("target"))
    let file = reference([1, 2, 3])
    #expect(folder.write(file, offset: 0, [1, 2, 3]) == nil)
    #expect(folder.verify(file))
    for path in ["../x", "/tmp/x", "link/x", "a/../../x"] {
      #expect(throws: OutputFolder.Failure.self) { try folder.finish([TaskOutput(path: path, file, mode: 0o644)]) }
    }
    #expect(FolderListing.names(in: tree.file("outside")).isEmpty)
    try folder.finish([TaskOutput(path: "a/b", file, mode: 0o755)])
    #expect(tree.bytes("target/a/b") == [1, 2, 3])
  }
}

@Suite(.timeLimit(.minutes(2)))
struct ContentStoreTests {
  private let tree = Tree()

  @Test func `two processes cannot have one store, and workers of one machine take different folders`() throws {
    let first = try ContentStore.open(path: tree.file("files"))
    #expect(throws: StoreError.self) { try ContentStore.open(path: tree.file("files")) }
    let caches = try [
      ContentStore.openFree(in: tree.path, limits: ContentLimits()),
      ContentStore.openFree(in: tree.path, limits: ContentLimits()),
    ]
    #expect(caches.map(\.path) == [tree.file("0"), tree.file("1")])
    for store in caches + [first] {
      let closed = Exchange<Bool>()
      store.close { closed.put(true) }
      _ = closed.take()
    }
  }

  @Test func `a store of its own goes with its last operation`() throws {
    let store = try ContentStore.temporary()
    let bytes = content(10)
    let stored = Exchange<Result<ContentState, ContentError>>()
    store.append(reference(bytes), offset: 0, bytes) { stored.put($0) }
    #expect(try stored.take().get() == .whole)
    #expect(ContentStore.exists(at: store.path))
    let closed = Exchange<Bool>()
    store.close { closed.put(true) }
    _ = closed.take()
    #expect(!ContentStore.exists(at: store.path))
    let late = Exchange<Result<ContentState, ContentError>>()
    store.state(of: reference(bytes)) { late.put($0) }
    #expect(late.take() == .failure(.disk(.closed)))
  }
}
