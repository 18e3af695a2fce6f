import CLibEv
import Glibc
import Synchronization

/// A stream to a peer over TCP or a Unix-domain socket, owned by one loop.
///
/// What is sent during a turn leaves in one write at its end. Without a delegate nothing is read; a connection that has
/// none when the callback which delivered it returns is aborted. All members are for the owning loop's thread.
///
///     open ──close()──▶ draining ──flushed, FIN sent──▶ lingering ──peer's FIN──▶ finishing ──end of turn──▶ closed
///       └─────────────────── abort(), an error, or the drain deadline ───────────────▲
@safe
public final class Connection {
  private enum Phase: UInt8 {
    case open
    /// `close()` was called: pending bytes are written, nothing is delivered any more.
    case draining
    /// Our FIN is out; input is discarded until the peer's, because closing with unread input would send RST and could
    /// destroy at the peer what we flushed.
    case lingering
    /// Over, but the delegate has not been told.
    case finishing
    case closed
  }

  public let loop: EventLoop
  /// Unique in the process, from 1.
  public let id: UInt64
  public let remoteAddress: SocketAddress
  public let options: ConnectionOptions
  /// The listener that accepted it, for draining; nil when we connected.
  let origin: ObjectIdentifier?

  private var descriptor: Int32
  private var phase = Phase.open
  private var handler: (any ConnectionDelegate)?
  private var readWatcher: IOWatcher?
  private var writeWatcher: IOWatcher?
  private var output: OutputPool.Box?
  private var slot: Int?
  private var closeError: SystemError?
  private var drainTimer: Timer?
  private var drainTimeout: Duration
  private var knownLocalAddress: SocketAddress?

  private var isUnflushed = false
  private var isWaitingToWrite = false
  private var isAboveHighWatermark = false
  private var owesRise = false
  private var isReadingPaused = false
  private var sawEndOfStream = false
  private var endsOutput = false
  private var sentEndOfStream = false
  private var readsWhatIsLeft = false

  private static let nextID = Atomic<UInt64>(1)
  /// Within a turn, more pending bytes than this are written at once: more would only cost memory and cache.
  static let coalescingBytes = 256 * 1024

  init(
    descriptor: Int32, remoteAddress: SocketAddress, options: ConnectionOptions, origin: ObjectIdentifier?,
    on loop: EventLoop
  ) {
    self.loop = loop
    self.descriptor = descriptor
    self.remoteAddress = remoteAddress
    self.options = options
    self.origin = origin
    id = Self.nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    drainTimeout = options.drainTimeout
    if let bytes = options.sendBufferBytes { System.setOption(descriptor, SOL_SOCKET, SO_SNDBUF, bytes) }
    slot = loop.resources.insert(self)
    readWatcher = unsafe IOWatcher(.read, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withResidentOwner(watcher, as: Connection.self) {
        $0.readable()
        // Tasks take what they were given while it is in the cache, and before the next connection's takes more memory.
        $0.loop.runJobs()
      }
    }
    writeWatcher = unsafe IOWatcher(.write, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withResidentOwner(watcher, as: Connection.self) { $0.writable() }
    }
  }

  /// Who hears of this connection; held until it was told of the close. Setting it starts reading.
  public var delegate: (any ConnectionDelegate)? {
    get { handler }
    set {
      loop.preconditionOnLoop()
      guard phase.rawValue < Phase.finishing.rawValue || newValue == nil else { return }
      handler = newValue
      updateReading()
    }
  }

  public var localAddress: SocketAddress {
    if let knownLocalAddress { return knownLocalAddress }
    guard descriptor >= 0, let address = SocketAddress.local(of: descriptor) else { return .unix(path: "") }
    knownLocalAddress = address
    return address
  }

  /// True until `close`, `abort` or a failure.
  public var isOpen: Bool { phase == .open }

  /// Bytes sent but not yet taken by the kernel.
  public var pendingBytes: Int { output?.buffer.count ?? 0 }

  // MARK: Sending

  /// Queues a copy of `bytes`, written at the end of the turn; dropped unless open and before `shutdownWrite`.
  ///
  /// Fails the connection with `ENOBUFS` when more than `maxPendingBytes` would wait: heed the watermarks.
  public func send(_ bytes: RawSpan) {
    loop.preconditionOnLoop()
    let count = bytes.byteCount
    guard phase == .open, !endsOutput, count > 0 else { return }
    let box: OutputPool.Box
    if let output {
      box = output
    } else {
      box = loop.outputPool.lend()
      output = box
    }
    if box.buffer.count + count > Self.coalescingBytes, box.buffer.count > 0, !isWaitingToWrite {
      writePending()
      guard phase == .open else { return }
      return append(bytes, to: output ?? lendOutput())
    }
    append(bytes, to: box)
  }

  public func send(_ bytes: [UInt8]) {
    // SAFETY: integers have no padding whose bytes could be undefined.
    unsafe send(bytes.span.bytes)
  }

  public func send(_ text: String) {
    var text = text
    text.makeContiguousUTF8()
    // SAFETY: as above.
    unsafe send(text.utf8.span.bytes)
  }

  private func lendOutput() -> OutputPool.Box {
    let box = loop.outputPool.lend()
    output = box
    return box
  }

  private func append(_ bytes: RawSpan, to box: OutputPool.Box) {
    let total = box.buffer.count + bytes.byteCount
    guard total <= options.maxPendingBytes else {
      overflow(total)
      return
    }
    box.buffer.append(bytes)
    // Judged here, not after the flush: a producer that stopped at the watermark is then sure to be called again, even
    // when the kernel takes everything at the end of the turn.
    if total > options.highWatermarkBytes, !isAboveHighWatermark {
      isAboveHighWatermark = true
      owesRise = true
    }
    markUnflushed()
  }

  private func overflow(_ total: Int) {
    System.setAbortOnClose(descriptor)
    finish(
      SystemError(
        call: "send", subject: "\(remoteAddress)", code: ENOBUFS,
        detail: "\(total) pending bytes exceed maxPendingBytes \(options.maxPendingBytes) (connection \(id)); "
          + "stop sending above the high watermark, or raise ConnectionOptions.maxPendingBytes"))
  }

  /// Writes what is pending now rather than at the end of the turn; call on the loop.
  public func flush() {
    loop.preconditionOnLoop()
    guard phase.rawValue <= Phase.draining.rawValue, !isWaitingToWrite else { return }
    writePending()
  }

  private func markUnflushed() {
    guard !isUnflushed else { return }
    isUnflushed = true
    loop.unflushed.append(self)
  }

  func flushAtEndOfTurn() {
    isUnflushed = false
    guard phase.rawValue <= Phase.draining.rawValue else { return }
    if !isWaitingToWrite { writePending() }
    reportWatermarks()
    startDrainTimerIfNeeded()
  }

  private func writable() {
    guard phase.rawValue <= Phase.draining.rawValue else { return }
    writePending()
    reportWatermarks()
  }

  private func writePending() {
    if let box = output {
      while box.buffer.count > 0 {
        let pending = unsafe box.buffer.pending
        loop.writeCalls &+= 1
        switch unsafe System.send(descriptor, pending) {
        case .bytes(let count):
          box.buffer.consume(count)
          // A short write means the kernel's buffer is full: asking again would only earn EAGAIN.
          if count < pending.count { return waitToWrite() }
        case .wouldBlock: return waitToWrite()
        case .endOfStream: return waitToWrite()
        case .failed(let code): return writeFailed(code)
        }
      }
      loop.outputPool.takeBack(box)
      output = nil
    }
    if isWaitingToWrite {
      isWaitingToWrite = false
      writeWatcher?.stop()
    }
    outputIsFlushed()
  }

  private func waitToWrite() {
    guard !isWaitingToWrite else { return }
    isWaitingToWrite = true
    writeWatcher?.start()
  }

  private func outputIsFlushed() {
    guard endsOutput || phase == .draining else { return }
    if !sentEndOfStream {
      sentEndOfStream = true
      _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }
    if phase == .draining { phase = .lingering }
    if sawEndOfStream { finish(nil) } else { updateReading() }
  }

  private func writeFailed(_ code: Int32) {
    // The peer may have said why before it went: what it sent is still in the kernel and is delivered first.
    readsWhatIsLeft = phase == .open && !isReadingPaused && !sawEndOfStream
    finish(error("send", code))
  }

  private func reportWatermarks() {
    guard phase == .open else { return }
    if owesRise {
      owesRise = false
      handler?.connectionDidRiseAboveHighWatermark(self)
    }
    guard phase == .open, isAboveHighWatermark, !owesRise, pendingBytes <= options.lowWatermarkBytes else { return }
    isAboveHighWatermark = false
    handler?.connectionDidDrainBelowLowWatermark(self)
  }

  // MARK: Receiving

  /// Stops delivering; the peer is held back by TCP once the kernel's buffer is full. Call on the loop.
  ///
  /// While paused the end of the stream, or a reset, goes unnoticed until reading resumes or something is sent.
  public func pauseReading() {
    loop.preconditionOnLoop()
    isReadingPaused = true
    updateReading()
  }

  /// Delivers again, from the next turn on; call on the loop.
  public func resumeReading() {
    loop.preconditionOnLoop()
    isReadingPaused = false
    updateReading()
  }

  private func updateReading() {
    let wanted =
      switch phase {
      case .open: handler != nil && !isReadingPaused && !sawEndOfStream
      case .draining: false
      case .lingering: !sawEndOfStream
      case .finishing, .closed: false
      }
    if wanted { readWatcher?.start() } else { readWatcher?.stop() }
  }

  private func readable() {
    let handler = handler
    var budget = options.readBudgetBytes
    repeat {
      switch unsafe System.receive(descriptor, into: loop.receiveBuffer) {
      case .bytes(let count):
        if phase == .open { deliver(count, to: handler) }
        // A short read emptied the kernel's buffer; the poll tells when there is more.
        if count < EventLoop.receiveBufferBytes { return }
        budget -= count
      case .endOfStream: return endOfStream()
      case .wouldBlock: return
      case .failed(let code): return finish(error("recv", code))
      }
    } while budget > 0 && (phase == .open && !isReadingPaused || phase == .lingering)
  }

  @inline(__always)
  private func deliver(_ count: Int, to handler: (any ConnectionDelegate)?) {
    // SAFETY: recv filled the first `count` bytes; nobody else touches the buffer during the call, because reading
    // happens only in callbacks from libev, which do not nest.
    let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: loop.receiveBuffer[..<count])
    var span = unsafe MutableRawSpan(_unsafeBytes: bytes)
    handler?.connection(self, didReceive: &span)
  }

  private func endOfStream() {
    sawEndOfStream = true
    readWatcher?.stop()
    switch phase {
    case .open:
      if let handler { handler.connectionDidReachEndOfStream(self) } else { close() }
      if phase == .open, sentEndOfStream { finish(nil) }
    case .lingering: finish(nil)
    case .draining, .finishing, .closed: break
    }
  }

  // MARK: Ending

  /// Ends our direction once everything pending is written; receiving goes on. Call on the loop.
  public func shutdownWrite() {
    loop.preconditionOnLoop()
    guard phase == .open, !endsOutput else { return }
    endsOutput = true
    markUnflushed()
  }

  /// Closes gracefully: writes what is pending, sends FIN, waits for the peer's, all within `drainTimeout`.
  ///
  /// Nothing more is received or accepted for sending. Harmless when already closing. Call on the loop.
  public func close() {
    loop.preconditionOnLoop()
    guard phase == .open else { return }
    phase = .draining
    updateReading()
    markUnflushed()
  }

  /// As `close`, with a deadline of its own.
  public func close(within timeout: Duration) {
    loop.preconditionOnLoop()
    guard phase.rawValue < Phase.finishing.rawValue else { return }
    drainTimeout = timeout
    close()
    if let drainTimer { drainTimer.cancel() }
    startDrainTimer()
  }

  /// Cuts the connection now; a TCP peer sees ECONNRESET and pending bytes are dropped. Call on the loop.
  public func abort() {
    loop.preconditionOnLoop()
    cut(nil)
  }

  private func cut(_ error: SystemError?) {
    guard phase.rawValue < Phase.finishing.rawValue else { return }
    System.setAbortOnClose(descriptor)
    finish(error)
    closeDescriptor()
  }

  private func startDrainTimerIfNeeded() {
    guard drainTimer == nil, phase == .draining || phase == .lingering else { return }
    startDrainTimer()
  }

  private func startDrainTimer() {
    let timer = drainTimer ?? loop.makeTimer { [unowned self] in drainDeadlinePassed() }
    drainTimer = timer
    timer.start(after: drainTimeout)
  }

  private func drainDeadlinePassed() {
    switch phase {
    case .draining:
      cut(error("close", ETIMEDOUT, detail: "\(pendingBytes) bytes were still unsent after \(drainTimeout)"))
    case .lingering:
      // Everything was handed to the kernel; a peer that never ends its side gets no more patience.
      finish(nil)
    case .open, .finishing, .closed: break
    }
  }

  private func finish(_ error: SystemError?) {
    guard phase.rawValue < Phase.finishing.rawValue else { return }
    phase = .finishing
    closeError = error
    readWatcher?.stop()
    writeWatcher?.stop()
    drainTimer?.cancel()
    loop.finishing.append(self)
  }

  func deliverClose() {
    guard phase == .finishing else { return }
    if readsWhatIsLeft { readWhatIsLeft() }
    phase = .closed
    closeDescriptor()
    readWatcher = nil
    writeWatcher = nil
    drainTimer = nil
    output = nil
    let delegate = handler.take()
    if let slot = slot.take() { loop.letGo(resource: slot) }
    delegate?.connectionDidClose(self, error: closeError)
    loop.connectionDidEnd(self)
  }

  private func readWhatIsLeft() {
    let handler = handler
    var budget = options.readBudgetBytes
    while budget > 0, descriptor >= 0,
      case .bytes(let count) = unsafe System.receive(descriptor, into: loop.receiveBuffer)
    {
      deliver(count, to: handler)
      budget -= count
    }
  }

  private func closeDescriptor() {
    guard descriptor >= 0 else { return }
    // The watchers are stopped: a stale one would fire for the number's next owner.
    System.close(descriptor)
    descriptor = -1
  }

  private func error(_ call: String, _ code: Int32, detail: String = "") -> SystemError {
    SystemError(call: call, subject: "\(remoteAddress)", code: code, detail: detail)
  }

  /// True when small writes are not held back by Nagle's algorithm.
  var isDelayFree: Bool { System.option(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY) == 1 }

  /// Cuts a connection that nobody took over when it was handed out.
  func abortIfUnclaimed() {
    if handler == nil, phase == .open { abort() }
  }
}

extension Connection: LoopResource {
  func loopDidEnd() { cut(error("event loop", ECANCELED, detail: "the loop ended with this connection open")) }
}

@available(*, unavailable) extension Connection: Sendable {}
