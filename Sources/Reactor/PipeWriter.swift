import CLibEv
import Glibc

/// The writing end of a pipe on a loop: queues bytes and writes them as the reader takes them.
///
/// Owns its descriptor. What is written during a turn leaves in one call at its end. Held by its loop until closed.
@safe
public final class PipeWriter {
  private let loop: EventLoop
  private let maxPendingBytes: Int
  private var descriptor: Int32
  private var watcher: IOWatcher?
  private var output = OutputBuffer(byteCount: 4096)
  private var onClose: ((SystemError?) -> Void)?
  private var slot: Int?
  private var isUnflushed = false
  private var isWaiting = false
  private var closesWhenFlushed = false

  /// Takes over `descriptor`; call on the loop.
  ///
  /// `onClose` comes once, never from within a call made on the writer: without an error after `close`, with `EPIPE`
  /// when the reader is gone, `ENOBUFS` when more than `maxPendingBytes` would wait, `ECANCELED` when the loop ended.
  public init(
    descriptor: Int32, on loop: EventLoop, maxPendingBytes: Int = 16 * 1024 * 1024,
    onClose: @escaping (SystemError?) -> Void = { _ in }
  ) {
    loop.preconditionOnLoop()
    self.loop = loop
    self.descriptor = descriptor
    self.maxPendingBytes = maxPendingBytes
    self.onClose = onClose
    _ = lifeline_set_nonblocking(descriptor)
    slot = loop.resources.insert(self)
    watcher = unsafe IOWatcher(.write, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withOwner(watcher, as: PipeWriter.self) { $0.flush() }
    }
  }

  /// True until `close` or a failure.
  public var isOpen: Bool { slot != nil && !closesWhenFlushed }

  /// Bytes written here but not yet taken by the kernel.
  public var pendingBytes: Int { output.count }

  /// Queues a copy of `bytes`; dropped unless open. Call on the loop.
  public func write(_ bytes: RawSpan) {
    loop.preconditionOnLoop()
    guard isOpen, bytes.byteCount > 0 else { return }
    let total = output.count + bytes.byteCount
    guard total <= maxPendingBytes else {
      let detail = "\(total) pending bytes exceed maxPendingBytes \(maxPendingBytes)"
      return end(SystemError(call: "write", subject: "pipe", code: ENOBUFS, detail: detail))
    }
    output.append(bytes)
    flushAtEndOfTurn()
  }

  public func write(_ bytes: [UInt8]) {
    // SAFETY: integers have no padding whose bytes could be undefined.
    unsafe write(bytes.span.bytes)
  }

  /// Closes once everything pending is written, which gives the reader its end of file; call on the loop.
  public func close() {
    loop.preconditionOnLoop()
    guard isOpen else { return }
    closesWhenFlushed = true
    flushAtEndOfTurn()
  }

  private func flushAtEndOfTurn() {
    guard !isUnflushed else { return }
    isUnflushed = true
    loop.afterTurn { [self] in
      isUnflushed = false
      if !isWaiting { flush() }
    }
  }

  private func flush() {
    guard slot != nil else { return }
    while output.count > 0 {
      switch unsafe System.write(descriptor, output.pending) {
      case .bytes(let count): output.consume(count)
      case .wouldBlock, .endOfStream:
        isWaiting = true
        watcher?.start()
        return
      case .failed(let code): return end(SystemError(call: "write", subject: "pipe", code: code))
      }
    }
    isWaiting = false
    watcher?.stop()
    if closesWhenFlushed { end(nil) }
  }

  private func end(_ error: SystemError?) {
    guard let slot = slot.take() else { return }
    watcher?.stop()
    watcher = nil
    System.close(descriptor)
    descriptor = -1
    loop.letGo(resource: slot)
    guard let onClose = onClose.take() else { return }
    loop.afterTurn { onClose(error) }
  }
}

extension PipeWriter: LoopResource {
  func loopDidEnd() {
    end(SystemError(call: "event loop", subject: "pipe", code: ECANCELED, detail: "the loop ended"))
  }
}

@available(*, unavailable) extension PipeWriter: Sendable {}
