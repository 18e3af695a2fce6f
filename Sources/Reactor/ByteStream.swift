import CLibEv
import Glibc

/// The reading end of a pipe on a loop: hands out what arrives until the end, or until closed.
///
/// Owns its descriptor. Held by its loop until it ended or was closed.
@safe
public final class ByteStream {
  private let loop: EventLoop
  private let readBudgetBytes: Int
  private var descriptor: Int32
  private var watcher: IOWatcher?
  private var onBytes: ((RawSpan) -> Void)?
  private var onEnd: (() -> Void)?
  private var slot: Int?
  /// For the child process that waits for its pipes; called before the user's `onEnd`, and also on close.
  var onGone: (() -> Void)?

  /// Takes over `descriptor` and reads it; call on the loop.
  ///
  /// `onBytes` gets bytes that are valid during its call only. `onEnd` comes once at the end of the stream (a read error
  /// counts as the end), not after `close`. One turn reads about `readBudgetBytes` at most.
  public init(
    descriptor: Int32, on loop: EventLoop, readBudgetBytes: Int = 512 * 1024, onBytes: @escaping (RawSpan) -> Void,
    onEnd: @escaping () -> Void
  ) {
    loop.preconditionOnLoop()
    self.loop = loop
    self.descriptor = descriptor
    self.readBudgetBytes = readBudgetBytes
    self.onBytes = onBytes
    self.onEnd = onEnd
    _ = lifeline_set_nonblocking(descriptor)
    slot = loop.resources.insert(self)
    let watcher = unsafe IOWatcher(.read, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withOwner(watcher, as: ByteStream.self) { $0.readable() }
    }
    self.watcher = watcher
    watcher.start()
  }

  /// False once it ended or was closed.
  public var isOpen: Bool { slot != nil }

  /// Stops reading; the writer is held back once the pipe is full. Call on the loop.
  public func pauseReading() {
    loop.preconditionOnLoop()
    watcher?.stop()
  }

  /// Reads again; call on the loop.
  public func resumeReading() {
    loop.preconditionOnLoop()
    watcher?.start()
  }

  /// Stops for good without calling `onEnd`; a process that still writes gets `SIGPIPE`. Call on the loop.
  public func close() {
    loop.preconditionOnLoop()
    release()
  }

  private func readable() {
    // Both are held here: the callback may close the stream, which lets go of them.
    let onBytes = onBytes
    var budget = readBudgetBytes
    repeat {
      switch unsafe System.read(descriptor, into: loop.receiveBuffer) {
      case .bytes(let count):
        // SAFETY: read filled the first `count` bytes; nobody else touches the buffer during the call.
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: loop.receiveBuffer[..<count])
        unsafe onBytes?(RawSpan(_unsafeBytes: bytes))
        budget -= count
        // A pipe gives what it holds, so a short read says nothing about its end; the poll does.
        if count < EventLoop.receiveBufferBytes { return }
      case .wouldBlock: return
      case .endOfStream, .failed:
        let onEnd = onEnd
        release()
        onEnd?()
        return
      }
    } while budget > 0 && watcher?.isActive ?? false
  }

  private func release() {
    guard let slot = slot.take() else { return }
    watcher?.stop()
    watcher = nil
    System.close(descriptor)
    descriptor = -1
    onBytes = nil
    onEnd = nil
    loop.letGo(resource: slot)
    onGone.take()?()
  }
}

extension ByteStream: LoopResource {
  func loopDidEnd() { release() }
}

@available(*, unavailable) extension ByteStream: Sendable {}
