public import CoordinationCore
import Locking
import PostgreSQL
import Reactor
public import Storage

/// Files in the database, in pieces, over a connection of its own, so that no commit waits behind a piece. The connection
/// is made with the first question.
///
/// While the database cannot be reached everything waits for it; what was asked and not answered is asked again. Completions
/// are called on the loop.
public final class PostgresFiles: SharedContentKeeper {
  /// Pieces that wait for the database, in bytes; beyond them nothing is taken.
  static let maxPendingBytes = 256 << 20

  private let session: LoopBound<FileSession>
  private let mailbox: Mailbox
  private let pendingBytes = Locked(0)

  init(_ session: FileSession, on loop: EventLoop) {
    self.session = LoopBound(session, to: loop)
    mailbox = loop.mailbox
  }

  deinit {
    let session = session
    mailbox.post { session.value.close() }
  }

  public func state(of file: FileReference, _ completion: @escaping ContentCompletion<ContentState>) {
    perform(completion) { $0.state(of: file, $1) }
  }

  public func append(
    _ file: FileReference, offset: Int, _ piece: [UInt8], _ completion: @escaping ContentCompletion<ContentState>
  ) {
    let pending = pendingBytes.withLock { pending in
      defer { if pending <= Self.maxPendingBytes - piece.count { pending += piece.count } }
      return pending
    }
    guard pending <= Self.maxPendingBytes - piece.count else {
      return completion(.failure(.disk(.overloaded(pendingWrites: pending, limit: Self.maxPendingBytes))))
    }
    perform({ [self] result in
      pendingBytes.withLock { $0 -= piece.count }
      completion(result)
    }) { $0.append(file, offset: offset, piece, $1) }
  }

  public func read(
    _ file: FileReference, offset: Int, count: Int, verifying: Bool,
    _ completion: @escaping ContentCompletion<[UInt8]>
  ) {
    perform(completion) { $0.read(file, offset: offset, count: count, verifying: verifying, $1) }
  }

  public func find(_ digests: [FileDigest], _ completion: @escaping ContentCompletion<[FileReference]>) {
    perform(completion) { $0.find(digests, $1) }
  }

  public func expire(
    unusedFor keep: Duration, settled: Duration, _ completion: @escaping ContentCompletion<Int>
  ) {
    perform(completion) { $0.expire(unusedFor: keep, settled: settled, $1) }
  }

  public func close(_ completion: @escaping @Sendable () -> Void) {
    let session = session
    let isPosted = mailbox.post {
      session.value.close()
      completion()
    }
    if !isPosted { completion() }
  }

  private func perform<Value>(
    _ completion: @escaping ContentCompletion<Value>,
    _ body: @escaping @Sendable (FileSession, @escaping ContentCompletion<Value>) -> Void
  ) {
    let session = session
    if !mailbox.post({ body(session.value, completion) }) { completion(.failure(.disk(.closed))) }
  }
}
