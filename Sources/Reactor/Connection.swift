import CLibEv
import Glibc
import Synchronization

/// A stream to a peer over TCP or a Unix-domain socket, owned by one loop.
///
/// What is sent during a turn leaves in one write at its end. Without a delegate nothing is read; a connection that has
/// none when the callback which delivered it returns is aborted. All members are for the owning loop's thread.
///
/// Long, and one piece, because every read, write, watermark, end and TLS record decides about the same phase and flags.
/// What can be judged apart, a session's cryptography and a client's first record, is in values of their own (`TLS`).
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
  private let profile: ConnectionProfile
  private let watcher: WatcherSlab.Slot
  private var handler: (any ConnectionDelegate)?
  private var output: OutputPool.Lease?
  /// What few connections need, and those not for long: an idle one is small.
  private var extras: Extras?
  private let peer: CompactAddress
  private var phase = Phase.open
  private var flags: Flags = []
  private var descriptor: Int32
  private var slot: Int32

  private final class Extras {
    var localAddress: SocketAddress?
    var closeError: SystemError?
    var drainTimer: Timer?
    var drainTimeout: Duration?
    var tls: TLSSession?
  }

  private struct Flags: OptionSet {
    let rawValue: UInt16
    /// In the loop's list of those with something to write at the end of the turn.
    static let isUnflushed = Flags(rawValue: 1 << 0)
    /// The kernel's buffer is full.
    static let isWaitingToWrite = Flags(rawValue: 1 << 1)
    static let isAboveHighWatermark = Flags(rawValue: 1 << 2)
    /// The delegate has not been told of the rise.
    static let owesRise = Flags(rawValue: 1 << 3)
    static let isReadingPaused = Flags(rawValue: 1 << 4)
    static let sawEndOfStream = Flags(rawValue: 1 << 5)
    /// `shutdownWrite` was called.
    static let endsOutput = Flags(rawValue: 1 << 6)
    static let sentEndOfStream = Flags(rawValue: 1 << 7)
    static let readsWhatIsLeft = Flags(rawValue: 1 << 8)
    /// The watcher's interest.
    static let watchesReading = Flags(rawValue: 1 << 9)
    static let watchesWriting = Flags(rawValue: 1 << 10)
    /// Speaks TLS; `extras.tls` is there.
    static let isSecure = Flags(rawValue: 1 << 11)
  }

  private static let nextID = Atomic<UInt64>(1)
  /// Within a turn, more pending bytes than this are written at once: more would only cost memory and cache.
  static let coalescingBytes = 256 * 1024
  /// From this size on the kernel is given a body where it lies: copying it would cost more than the system call that
  /// putting it off might save.
  static let directWriteBytes = 8 * 1024

  /// So many bytes sent in answer to a read are worth a system call of their own.
  private static let muchBytes = 4 * 1024

  init(
    descriptor: Int32, remoteAddress: SocketAddress, profile: ConnectionProfile, on loop: EventLoop,
    tls: TLSSession? = nil
  ) {
    self.loop = loop
    self.descriptor = descriptor
    self.profile = profile
    peer = CompactAddress(remoteAddress)
    id = Self.nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    if let bytes = profile.options.sendBufferBytes { System.setOption(descriptor, SOL_SOCKET, SO_SNDBUF, bytes) }
    if let bytes = profile.options.maxUnsentKernelBytes, remoteAddress.isInternet {
      System.setOption(descriptor, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, bytes)
    }
    slot = -1
    watcher = loop.watchers.lend()
    slot = Int32(truncatingIfNeeded: loop.connections.insert(self))
    unsafe watcher.prepare(descriptor, owner: self) { _, watcher, events in
      unsafe IOWatcher.withResidentOwner(watcher, as: Connection.self) {
        $0.ready(events)
        // Tasks take what they were given while it is in the cache, and before the next connection's takes more memory.
        $0.loop.runJobs()
        $0.flushIfMuch()
      }
    }
    if let tls {
      flags.insert(.isSecure)
      withExtras { $0.tls = tls }
    }
  }

  public var remoteAddress: SocketAddress { peer.address }

  public var options: ConnectionOptions { profile.options }

  /// The listener that accepted it, for draining; nil when we connected.
  var origin: ObjectIdentifier? { profile.origin }

  private func withExtras(_ change: (Extras) -> Void) {
    let extras = extras ?? Extras()
    self.extras = extras
    change(extras)
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
    if let known = extras?.localAddress { return known }
    guard descriptor >= 0, let address = SocketAddress.local(of: descriptor) else { return .unix(path: "") }
    withExtras { $0.localAddress = address }
    return address
  }

  /// True until `close`, `abort` or a failure.
  public var isOpen: Bool { phase == .open }

  /// Bytes sent but not yet taken by the kernel.
  public var pendingBytes: Int {
    let count = output?.count ?? 0
    return flags.contains(.isSecure) ? count + (extras?.tls?.ciphertextBytes ?? 0) : count
  }

  /// What both ends agreed on; nil without TLS and before the handshake is done.
  public var tlsInfo: TLSInfo? { extras?.tls?.info }

  // MARK: Sending

  /// Queues a copy of `bytes`, written at the end of the turn; dropped unless open and before `shutdownWrite`.
  ///
  /// Many bytes are given to the kernel at once instead, where they lie. Fails the connection with `ENOBUFS` when more
  /// than `maxPendingBytes` would wait: heed the watermarks.
  @inline(__always)
  public func send(_ bytes: RawSpan) {
    // SAFETY: no bytes at all are initialized ones.
    unsafe send(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: nil, count: 0)), bytes)
  }

  /// As `send` of both, one after the other: a frame's header and its payload, say, without putting them together.
  public func send(_ head: RawSpan, _ body: RawSpan) {
    loop.preconditionOnLoop()
    guard phase == .open, !flags.contains(.endsOutput) else { return }
    let count = head.byteCount + body.byteCount
    guard count > 0 else { return }
    if !flags.contains(.isWaitingToWrite) {
      if body.byteCount >= Self.directWriteBytes, !flags.contains(.isSecure) { return sendDirectly(head, body) }
      if pendingBytes + count > Self.coalescingBytes, pendingBytes > 0 {
        writePending()
        guard phase == .open else { return }
      }
    }
    append(head, body)
  }

  /// Writes what is pending, `head` and `body` in one call, and keeps what the kernel does not take.
  private func sendDirectly(_ head: RawSpan, _ body: RawSpan) {
    let waiting = pendingBytes
    loop.writeCalls &+= 1
    let result = unsafe System.send(descriptor, output?.pending, head, body)
    var taken: Int
    switch result {
    case .bytes(let count): taken = count
    case .wouldBlock, .endOfStream: taken = 0
    case .failed(let code): return writeFailed(code)
    }
    if let output {
      let ofWaiting = min(taken, waiting)
      output.consume(ofWaiting)
      taken -= ofWaiting
      giveBackEmptyOutput()
    }
    let ofHead = min(taken, head.byteCount)
    let ofBody = taken - ofHead
    guard ofHead < head.byteCount || ofBody < body.byteCount else { return }
    waitToWrite()
    append(head.extracting(ofHead...), body.extracting(ofBody...))
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

  private func append(_ head: RawSpan, _ body: RawSpan) {
    let buffer = output ?? loop.outputPool.lend()
    output = buffer
    let total = pendingBytes + head.byteCount + body.byteCount
    guard total <= profile.options.maxPendingBytes else {
      overflow(total)
      return
    }
    buffer.append(head, body)
    // Judged here, not after the flush: a producer that stopped at the watermark is then sure to be called again, even
    // when the kernel takes everything at the end of the turn.
    if total > profile.options.highWatermarkBytes, !flags.contains(.isAboveHighWatermark) {
      flags.insert([.isAboveHighWatermark, .owesRise])
    }
    markUnflushed()
  }

  private func overflow(_ total: Int) {
    System.setAbortOnClose(descriptor)
    finish(
      SystemError(
        call: "send", subject: "\(remoteAddress)", code: ENOBUFS,
        detail: "\(total) pending bytes exceed maxPendingBytes \(profile.options.maxPendingBytes) (connection \(id)); "
          + "stop sending above the high watermark, or raise ConnectionOptions.maxPendingBytes"))
  }

  /// Writes what is pending now rather than at the end of the turn; call on the loop.
  public func flush() {
    loop.preconditionOnLoop()
    guard phase.rawValue <= Phase.draining.rawValue, !flags.contains(.isWaitingToWrite) else { return }
    writePending()
  }

  /// Writes an answer that would hardly grow further while it is in the cache, rather than at the end of the turn.
  private func flushIfMuch() {
    guard pendingBytes >= Self.muchBytes, phase == .open, !flags.contains(.isWaitingToWrite) else { return }
    writePending()
  }

  private func markUnflushed() {
    guard !flags.contains(.isUnflushed) else { return }
    flags.insert(.isUnflushed)
    loop.willFlush(self)
  }

  /// Writes before the end of the turn, because many wait to; true when nothing is left to do at its end.
  func flushEarly() -> Bool {
    guard phase.rawValue <= Phase.draining.rawValue else { return true }
    if !flags.contains(.isWaitingToWrite) { writePending() }
    guard phase == .open, !flags.contains(.isAboveHighWatermark) else { return false }
    flags.remove(.isUnflushed)
    return true
  }

  func flushAtEndOfTurn() {
    flags.remove(.isUnflushed)
    guard phase.rawValue <= Phase.draining.rawValue else { return }
    if !flags.contains(.isWaitingToWrite) { writePending() }
    reportWatermarks()
    startDrainTimerIfNeeded()
  }

  private func ready(_ events: Int32) {
    if events & Int32(LIFELINE_EV_READ) != 0 { readable() }
    // The read may have ended the connection, or written what waited.
    guard events & Int32(LIFELINE_EV_WRITE) != 0, flags.contains(.isWaitingToWrite) else { return }
    guard phase.rawValue <= Phase.draining.rawValue else { return }
    writePending()
    reportWatermarks()
  }

  private func writePending() {
    if flags.contains(.isSecure) { return writeSecurely() }
    if let buffer = output {
      while buffer.count > 0 {
        let pending = unsafe buffer.pending
        loop.writeCalls &+= 1
        switch unsafe System.send(descriptor, pending) {
        case .bytes(let count):
          buffer.consume(count)
          // A short write means the kernel's buffer is full: asking again would only earn EAGAIN.
          if count < pending.count { return waitToWrite() }
        case .wouldBlock: return waitToWrite()
        case .endOfStream: return waitToWrite()
        case .failed(let code): return writeFailed(code)
        }
      }
      giveBackEmptyOutput()
    }
    stopWaitingToWrite()
    outputIsFlushed()
  }

  private func stopWaitingToWrite() {
    guard flags.contains(.isWaitingToWrite) else { return }
    flags.remove(.isWaitingToWrite)
    watch(.watchesWriting, false)
  }

  private func giveBackEmptyOutput() {
    guard let buffer = output, buffer.count == 0 else { return }
    loop.outputPool.takeBack(buffer)
    output = nil
  }

  private func waitToWrite() {
    guard !flags.contains(.isWaitingToWrite) else { return }
    flags.insert(.isWaitingToWrite)
    watch(.watchesWriting, true)
  }

  /// Adds or removes one direction of the watcher's interest.
  private func watch(_ direction: Flags, _ wanted: Bool) {
    guard flags.contains(direction) != wanted else { return }
    if wanted { flags.insert(direction) } else { flags.remove(direction) }
    watcher.watch(reading: flags.contains(.watchesReading), writing: flags.contains(.watchesWriting), on: loop)
  }

  private func outputIsFlushed() {
    guard flags.contains(.endsOutput) || phase == .draining else { return }
    if !flags.contains(.sentEndOfStream) {
      flags.insert(.sentEndOfStream)
      _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }
    if phase == .draining { phase = .lingering }
    if flags.contains(.sawEndOfStream) || distrustsPeer { finish(nil) } else { updateReading() }
  }

  private func writeFailed(_ code: Int32) {
    // The peer may have said why before it went: what it sent is still in the kernel and is delivered first.
    if phase == .open, flags.isDisjoint(with: [.isReadingPaused, .sawEndOfStream]) { flags.insert(.readsWhatIsLeft) }
    finish(error("send", code))
  }

  private func reportWatermarks() {
    guard phase == .open else { return }
    if flags.contains(.owesRise) {
      flags.remove(.owesRise)
      handler?.connectionDidRiseAboveHighWatermark(self)
    }
    guard phase == .open, flags.contains(.isAboveHighWatermark), !flags.contains(.owesRise),
      pendingBytes <= profile.options.lowWatermarkBytes
    else { return }
    flags.remove(.isAboveHighWatermark)
    handler?.connectionDidDrainBelowLowWatermark(self)
  }

  // MARK: Receiving

  /// Stops delivering; the peer is held back by TCP once the kernel's buffer is full. Call on the loop.
  ///
  /// While paused the end of the stream, or a reset, goes unnoticed until reading resumes or something is sent.
  public func pauseReading() {
    loop.preconditionOnLoop()
    flags.insert(.isReadingPaused)
    updateReading()
  }

  /// Delivers again, from the next turn on; call on the loop.
  public func resumeReading() {
    loop.preconditionOnLoop()
    flags.remove(.isReadingPaused)
    updateReading()
  }

  private func updateReading() {
    let wanted =
      switch phase {
      case .open: handler != nil && !flags.contains(.isReadingPaused) && !flags.contains(.sawEndOfStream)
      case .draining: false
      case .lingering: !flags.contains(.sawEndOfStream)
      case .finishing, .closed: false
      }
    watch(.watchesReading, wanted)
  }

  private func readable() {
    let handler = handler
    let isSecure = flags.contains(.isSecure)
    var budget = profile.options.readBudgetBytes
    repeat {
      switch unsafe System.receive(descriptor, into: loop.receiveBuffer) {
      case .bytes(let count):
        if phase == .open {
          if isSecure { decrypt(count) } else { deliver(count, to: handler) }
        }
        // A short read emptied the kernel's buffer; the poll tells when there is more.
        if count < EventLoop.receiveBufferBytes { return }
        budget -= count
      case .endOfStream: return isSecure ? secureStreamEnded() : endOfStream()
      case .wouldBlock: return
      case .failed(let code): return finish(error("recv", code))
      }
    } while budget > 0 && (phase == .open && !flags.contains(.isReadingPaused) || phase == .lingering)
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
    flags.insert(.sawEndOfStream)
    watch(.watchesReading, false)
    switch phase {
    case .open:
      if let handler { handler.connectionDidReachEndOfStream(self) } else { close() }
      if phase == .open, flags.contains(.sentEndOfStream) { finish(nil) }
    case .lingering: finish(nil)
    case .draining, .finishing, .closed: break
    }
  }

  // MARK: Ending

  /// Ends our direction once everything pending is written; receiving goes on. Call on the loop.
  public func shutdownWrite() {
    loop.preconditionOnLoop()
    guard phase == .open, !flags.contains(.endsOutput) else { return }
    flags.insert(.endsOutput)
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
    withExtras { $0.drainTimeout = timeout }
    close()
    extras?.drainTimer?.cancel()
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
    guard phase == .draining || phase == .lingering, extras?.drainTimer == nil else { return }
    startDrainTimer()
  }

  private var drainTimeout: Duration { extras?.drainTimeout ?? profile.options.drainTimeout }

  private func startDrainTimer() {
    let timer = extras?.drainTimer ?? loop.makeTimer { [unowned self] in drainDeadlinePassed() }
    withExtras { $0.drainTimer = timer }
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
    // What was found first stays: a peer that was refused may well answer with a reset.
    if let error, extras?.closeError == nil { withExtras { $0.closeError = error } }
    watch(.watchesReading, false)
    watch(.watchesWriting, false)
    extras?.drainTimer?.cancel()
    loop.finishing.append(self)
  }

  func deliverClose() {
    guard phase == .finishing else { return }
    if flags.contains(.readsWhatIsLeft) { readWhatIsLeft() }
    phase = .closed
    closeDescriptor()
    discardOutput()
    let closeError = extras?.closeError
    extras = nil
    let delegate = handler.take()
    loop.watchers.takeBack(watcher)
    loop.letGo(connection: Int(slot))
    delegate?.connectionDidClose(self, error: closeError)
    loop.connectionDidEnd(self)
  }

  private func readWhatIsLeft() {
    let handler = handler
    var budget = profile.options.readBudgetBytes
    while budget > 0, descriptor >= 0,
      case .bytes(let count) = unsafe System.receive(descriptor, into: loop.receiveBuffer)
    {
      if flags.contains(.isSecure) { decrypt(count) } else { deliver(count, to: handler) }
      budget -= count
    }
  }

  // MARK: TLS

  /// Begins the handshake of a connection that we made; `onEstablished` is called once if it succeeds, from within a read.
  func startTLS(onEstablished: @escaping () -> Void) {
    guard let tls = extras?.tls else { return }
    tls.onEstablished = onEstablished
    tls.lend(&loop.outputPool)
    if case .failed(let failure) = tls.shakeHands() { return tlsFailed(failure, tls) }
    markUnflushed()
  }

  /// Everything that lies in the loop's buffer: more never does than fits, decrypted, into the one for plaintext.
  private func decrypt(_ count: Int) {
    guard let tls = extras?.tls else { return }
    // SAFETY: recv filled the first `count` bytes, and nobody else touches the buffer during this callback.
    let ciphertext = unsafe UnsafeRawBufferPointer(rebasing: loop.receiveBuffer[..<count])
    switch unsafe tls.firstRecord?.take(ciphertext) {
    case nil: unsafe decrypt(ciphertext, tls)
    case .needsMore?: break
    case .whole(let bytes)?:
      tls.firstRecord = nil
      // SAFETY: the array lends its bytes for the call.
      unsafe bytes.withUnsafeBytes { unsafe decrypt($0, tls) }
    case .tooLong(let length)?:
      tls.firstRecord = nil
      tls.lend(&loop.outputPool)
      tlsFailed(.other("a first record of \(length) bytes is longer than \(FirstRecord.maxBytes)"), tls)
    }
  }

  private func decrypt(_ ciphertext: UnsafeRawBufferPointer, _ tls: TLSSession) {
    tls.lend(&loop.outputPool)
    unsafe tls.withInput(ciphertext) {
      if !tls.isEstablished {
        switch tls.shakeHands() {
        case .needsInput: return
        case .failed(let failure): return tlsFailed(failure, tls)
        case .done:
          let onEstablished = tls.onEstablished.take()
          onEstablished?()
        }
      }
      guard phase == .open || flags.contains(.readsWhatIsLeft) else { return }
      let plaintext = unsafe loop.plaintextBuffer
      let (filled, end) = unsafe tls.read(into: plaintext)
      if filled > 0 {
        // SAFETY: the session wrote the first `filled` bytes; reads do not nest, so nobody else uses the buffer.
        var span = unsafe MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: plaintext[..<filled]))
        handler?.connection(self, didReceive: &span)
      }
      switch end {
      case .needsInput: break
      case .closed: if phase == .open { endOfStream() }
      case .failed(let failure): if phase == .open { tlsFailed(failure, tls) }
      }
    }
    // The handshake's answers, tickets, alerts.
    if pendingBytes == 0 { tls.giveBack(to: &loop.outputPool) } else if phase == .open { markUnflushed() }
  }

  /// The peer is told what can be told, and nothing more is read of it; then the delegate hears why.
  private func tlsFailed(_ failure: TLSFailure, _ tls: TLSSession) {
    discardOutput()
    tls.breakOff(saying: failure == .plainHTTP ? Self.answerToPlainHTTP : "")
    withExtras { $0.closeError = SystemError(tls: failure, with: "\(remoteAddress)") }
    guard phase == .open else { return }
    phase = .draining
    updateReading()
    markUnflushed()
  }

  private static let answerToPlainHTTP = """
    HTTP/1.1 400 Bad Request\r
    Content-Type: application/json\r
    Content-Length: 67\r
    Connection: close\r
    \r
    {"error":"this port speaks TLS; use an https:// or wss:// address"}
    """

  private func secureStreamEnded() {
    guard let tls = extras?.tls, phase == .open, !tls.sawEnd, !tls.isBroken else { return endOfStream() }
    flags.insert(.sawEndOfStream)
    finish(
      SystemError(tls: tls.isEstablished ? .truncated : .endedDuringHandshake, with: "\(remoteAddress)"))
  }

  /// As much as is encrypted at a time: it stays in the cache, and memory for it small.
  private static let encryptedAtOnceBytes = 64 * 1024

  private func writeSecurely() {
    guard let tls = extras?.tls else { return }
    tls.lend(&loop.outputPool)
    while true {
      guard writeCiphertext(of: tls) else { return }
      if let buffer = output, buffer.count > 0, tls.isEstablished, !tls.isBroken {
        let part = unsafe UnsafeRawBufferPointer(rebasing: buffer.pending.prefix(Self.encryptedAtOnceBytes))
        guard unsafe tls.write(part) else {
          tlsFailed(.other("encryption failed"), tls)
          return
        }
        buffer.consume(part.count)
      } else if isOutputEnding, !tls.hasSaidEnd, tls.isEstablished, !tls.isBroken {
        tls.sayEnd()
      } else {
        break
      }
    }
    giveBackEmptyOutput()
    tls.giveBack(to: &loop.outputPool)
    stopWaitingToWrite()
    // What was sent before the handshake waits for it, unless nobody will see its end any more.
    if phase == .draining, !tls.isEstablished { discardOutput() }
    if output == nil { outputIsFlushed() }
  }

  /// Whether we dialled somebody whom TLS has refused: nothing of it is worth waiting for, its end neither.
  private var distrustsPeer: Bool {
    guard flags.contains(.isSecure), let tls = extras?.tls else { return false }
    return tls.isBroken && tls.role == .client
  }

  private var isOutputEnding: Bool { flags.contains(.endsOutput) || phase == .draining }

  /// - Returns: whether all of it is with the kernel.
  private func writeCiphertext(of tls: TLSSession) -> Bool {
    while tls.ciphertextBytes > 0 {
      let pending = unsafe tls.ciphertext
      loop.writeCalls &+= 1
      switch unsafe System.send(descriptor, pending) {
      case .bytes(let count):
        tls.consumeCiphertext(count)
        guard count == pending.count else {
          waitToWrite()
          return false
        }
      case .wouldBlock, .endOfStream:
        waitToWrite()
        return false
      case .failed(let code):
        writeFailed(code)
        return false
      }
    }
    return true
  }

  private func closeDescriptor() {
    guard descriptor >= 0 else { return }
    // The watcher is stopped: a stale one would fire for the number's next owner.
    System.close(descriptor)
    descriptor = -1
  }

  private func error(_ call: String, _ code: Int32, detail: String = "") -> SystemError {
    SystemError(call: call, subject: "\(remoteAddress)", code: code, detail: detail)
  }

  /// True when small writes are not held back by Nagle's algorithm.
  var isDelayFree: Bool { System.option(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY) == 1 }

  private func discardOutput() {
    output?.discard()
    output = nil
  }

  deinit {
    // There is none after the close; a loop that never ran ends without one.
    discardOutput()
  }

  /// Cuts a connection that nobody took over when it was handed out.
  func abortIfUnclaimed() {
    if handler == nil, phase == .open { abort() }
  }
}

extension Connection {
  func loopDidEnd() { cut(error("event loop", ECANCELED, detail: "the loop ended with this connection open")) }
}

@available(*, unavailable) extension Connection: Sendable {}
