import Storage
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(2)))
struct OutboxWriterTests {
  let directory = TemporaryDirectory()
  var path: String { directory.file("outbox") }

  func close(_ writer: OutboxWriter) async {
    await withCheckedContinuation { continuation in writer.close { continuation.resume() } }
  }

  @Test func `an acknowledged entry is in the file`() async throws {
    let writer = try OutboxWriter.open(path: path)
    #expect(writer.recovered.isEmpty)
    let directory = directory
    let found = await withCheckedContinuation { continuation in
      writer.append(key: "a", bytes("one")) { _ in continuation.resume(returning: directory.bytes("outbox") ?? []) }
    }
    let copy = TemporaryDirectory()
    copy.write(found, "outbox")
    #expect(try OutboxFile.open(path: copy.file("outbox")).entries == [OutboxEntry(key: "a", content: bytes("one"))])
    await close(writer)
  }

  @Test func `completions come in order and what is removed is gone`() async throws {
    let order = Mutex<[Int]>([])
    let writer = try OutboxWriter.open(path: path)
    for number in 0..<500 {
      writer.append(key: "k\(number)", bytes("\(number)")) { result in
        if case .success = result { order.withLock { $0.append(number) } }
      }
      if number >= 5 { writer.remove(key: "k\(number - 5)") }
    }
    await close(writer)
    #expect(order.withLock { $0 } == Array(0..<500))
    let again = try OutboxWriter.open(path: path)
    #expect(again.recovered.map(\.key) == (495..<500).map { "k\($0)" })
    #expect(again.recovery == .clean)
    await close(again)
    #expect(directory.names == ["outbox"])
  }

  @Test func `an entry beyond the bounds fails alone and in its turn`() async throws {
    let outcomes = Mutex<[String]>([])
    let writer = try OutboxWriter.open(path: path, limits: OutboxLimits(maxEntries: 2))
    for key in ["a", "b", "c", "b"] {
      writer.append(key: key, bytes(key)) { result in
        let isFull = if case .failure(.outboxFull) = result { true } else { false }
        outcomes.withLock { $0.append(key + (isFull ? " full" : "")) }
      }
    }
    await close(writer)
    #expect(outcomes.withLock { $0 } == ["a", "b", "c full", "b"])
  }

  @Test func `after closing an append fails with closed`() async throws {
    let writer = try OutboxWriter.open(path: path)
    await close(writer)
    await close(writer)
    let result = await withCheckedContinuation { continuation in
      writer.append(key: "a", []) { continuation.resume(returning: $0) }
    }
    #expect(throws: StoreError.closed) { try result.get() }
  }

  @Test func `a writer that is let go of finishes what was requested`() async throws {
    var writer: OutboxWriter? = try OutboxWriter.open(path: path)
    #expect(throws: StoreError.outboxLocked(path: path)) { try OutboxWriter.open(path: path) }
    writer?.append(key: "a", bytes("one")) { _ in }
    writer = nil
    let again = try await reopened { try OutboxWriter.open(path: path) }
    #expect(again.recovered.map(\.key) == ["a"])
  }
}
