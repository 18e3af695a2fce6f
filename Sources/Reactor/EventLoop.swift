import CLibEv
import Glibc
public import Primitives

/// One thread's event loop: owns its connections, timers and watchers for life.
///
/// Create and run it on the same thread. Work is done in turns: the loop waits, calls everything that is ready, runs
/// the `afterTurn` bodies and the tasks that are ready, writes what was sent during the turn, and tells delegates about
/// connections that ended. Another thread reaches it through `mailbox` and the executors only.
@safe
public final class EventLoop {
  /// The door for other threads; also accepts posts from this one.
  public let mailbox = Mailbox()
  /// Runs tasks on this loop; inherited by their child tasks.
  public let taskExecutor: LoopTaskExecutor
  /// Lets actors live on this loop.
  public let serialExecutor: LoopSerialExecutor

  let handle: OpaquePointer
  let thread = ThreadIdentity.current
  /// Everything that libev may call into is held here, or in the two tables below, while it is active.
  var resources = SlotTable<any LoopResource>()
  var connections = SlotTable<Connection>()
  var timers = SlotTable<Timer>()
  var watchers = WatcherSlab()
  /// Those with something to do at the end of the turn.
  @exclusivity(unchecked) private var uncheckedUnflushed: [Connection] = []
  /// How many of them, from the first on, were written before the end of the turn.
  private var writtenEarly = 0
  var finishing: [Connection] = []
  var drains: [Drain] = []
  /// Shared by all connections and pipes of the loop; its contents are valid during one callback.
  let receiveBuffer: UnsafeMutableRawBufferPointer
  /// Where TLS connections decrypt to; made when there is the first of them. What lies in a full `receiveBuffer` and what a
  /// session had kept of an earlier record fit into it.
  var plaintextBuffer: UnsafeMutableRawBufferPointer {
    if let buffer = unsafe madePlaintextBuffer { return unsafe buffer }
    // SAFETY: freed in deinit.
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Self.receiveBufferBytes + Self.maxRecordBytes, alignment: 64)
    unsafe madePlaintextBuffer = buffer
    return unsafe buffer
  }
  private var madePlaintextBuffer: UnsafeMutableRawBufferPointer?
  /// A record of 16 KiB with all that TLS 1.2 may add to it (RFC 5246 §6.2.3), and some more.
  private static let maxRecordBytes = 32 * 1024
  @exclusivity(unchecked) private var uncheckedOutputPool = OutputPool()
  /// How often `send(2)` was called on this loop's connections, for tests of coalescing.
  var writeCalls = 0
  private(set) var hasEnded = false

  private let wakeUp: UnsafeMutablePointer<ev_async>
  private var letters: [Mailbox.Letter] = []
  private var afterTurnBodies: [() -> Void] = []
  private var attachments: [ObjectIdentifier: AnyObject] = [:]
  private var turnTime: Instant?
  private var isInTurn = false
  private var stopRequested = false

  /// Bytes read by one `recv`; larger reads save calls on bulk data and still fit a core's second-level cache.
  static let receiveBufferBytes = 128 * 1024
  /// More connections than this that wait for the end of the turn are written at once: each holds a buffer, and many
  /// buffers do not stay in the cache.
  private static let maxUnflushedConnections = 32
  /// Rounds of afterTurn, flush and close delivery in one turn before waiting readiness gets its chance.
  private static let maxRoundsPerTurn = 16

  /// Makes a loop for the calling thread; fails when the process is out of descriptors or memory.
  public init() throws(SystemError) {
    // A peer that went away must be an error of one write, never the end of the process.
    _ = signal(SIGPIPE, SIG_IGN)
    guard let loop = unsafe lifeline_ev_loop_new() else {
      throw SystemError(call: "ev_loop_new", code: errno, detail: "no epoll descriptor could be made")
    }
    unsafe handle = loop
    taskExecutor = LoopTaskExecutor(JobQueue(mailbox: mailbox))
    serialExecutor = LoopSerialExecutor(taskExecutor)
    // SAFETY: both are freed in deinit, after the watcher was stopped.
    unsafe receiveBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.receiveBufferBytes, alignment: 64)
    unsafe wakeUp = UnsafeMutablePointer<ev_async>.allocate(capacity: 1)
    unsafe wakeUp.initialize(to: ev_async())
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe lifeline_ev_async_init(
      wakeUp,
      { _, watcher, _ in
        guard let data = unsafe watcher?.pointee.data else { return }
        // SAFETY: the loop outlives its watcher, which deinit stops.
        unsafe Unmanaged<EventLoop>.fromOpaque(data)._withUnsafeGuaranteedRef { $0.openLetters() }
      }, me)
    unsafe ev_async_start(loop, wakeUp)
    unsafe ev_set_userdata(loop, me)
    unsafe ev_set_invoke_pending_cb(loop) { loop in
      guard let data = unsafe ev_userdata(loop) else { return }
      // SAFETY: run() is a method of this object, so it is alive whenever libev calls this.
      unsafe Unmanaged<EventLoop>.fromOpaque(data)._withUnsafeGuaranteedRef { $0.turn() }
    }
    unsafe mailbox.open(loop: loop, watcher: wakeUp)
    taskExecutor.queue.attach(to: self)
  }

  deinit {
    _ = mailbox.close()
    taskExecutor.queue.close(taskExecutor, serialExecutor)
    // SAFETY: nothing else is active: every active watcher's owner is in `resources` or `timers` and holds the loop.
    unsafe ev_async_stop(handle, wakeUp)
    unsafe ev_loop_destroy(handle)
    unsafe wakeUp.deallocate()
    unsafe receiveBuffer.deallocate()
    unsafe madePlaintextBuffer?.deallocate()
  }

  /// The time of the current turn, read once; outside `run()` the clock itself.
  public var now: Instant {
    if let turnTime { return turnTime }
    let time = MonotonicClock.now()
    if isInTurn { turnTime = time }
    return time
  }

  /// Serves the loop until `stop()`, then ends it for good: what still lives on it is closed and told so.
  public func run() {
    preconditionOnLoop()
    precondition(!hasEnded, "a loop runs once; make a new one")
    if !stopRequested {
      // SAFETY: the handle lives until deinit, and we are on its thread.
      asCurrent { _ = unsafe ev_run(handle, 0) }
    }
    asCurrent { end() }
  }

  /// Ends `run()` after the current turn; call on the loop. Use `drain` first to let connections finish.
  public func stop() {
    preconditionOnLoop()
    stopRequested = true
    // SAFETY: as in run.
    unsafe lifeline_ev_break_all(handle)
  }

  /// Runs `body` once at the end of the current turn, before what was sent in it is written; call on the loop.
  public func afterTurn(_ body: @escaping () -> Void) {
    preconditionOnLoop()
    afterTurnBodies.append(body)
  }

  /// The loop's one object of this type, made when it is first asked for: what a layer above shares among everything on
  /// the loop. Call on the loop.
  public func attachment<Object: AnyObject>(_ make: () -> Object) -> Object {
    preconditionOnLoop()
    let key = ObjectIdentifier(Object.self)
    if let object = attachments[key] as? Object { return object }
    let object = make()
    attachments[key] = object
    return object
  }

  /// Calls `body` once, `after` from now; the timer may be dropped, or kept to cancel it. Call on the loop.
  @discardableResult
  public func schedule(after: Duration, _ body: @escaping () -> Void) -> Timer {
    let timer = makeTimer(body)
    timer.start(after: after)
    return timer
  }

  /// Makes a timer that calls `body` whenever a started deadline passes; call on the loop.
  public func makeTimer(_ body: @escaping () -> Void) -> Timer {
    preconditionOnLoop()
    return Timer(loop: self, body: body)
  }

  /// Calls `body` on the loop for each delivery of a signal; call on the loop.
  ///
  /// One loop of a process owns a signal: fails with `EBUSY` when another has it, `EINVAL` when it cannot be watched.
  @discardableResult
  public func onSignal(_ number: Int32, _ body: @escaping () -> Void) throws(SystemError) -> SignalWatcher {
    preconditionOnLoop()
    return try SignalWatcher(number, on: self, body: body)
  }

  /// True on the thread that owns the loop.
  public var isOnLoop: Bool { thread == .current }

  /// Traps when called on a thread that does not own the loop.
  public func preconditionOnLoop() {
    precondition(thread == .current, "this must be called on the loop's thread; post to its mailbox instead")
  }

  private func turn() {
    // SAFETY: called by libev on the loop's thread.
    if unsafe ev_pending_count(handle) > 0 {
      isInTurn = true
      turnTime = nil
      unsafe ev_invoke_pending(handle)
    }
    endTurn()
    isInTurn = false
    turnTime = nil
  }

  private var hasEndOfTurnWork: Bool {
    !afterTurnBodies.isEmpty || taskExecutor.queue.hasLocalJobs || !unflushed.isEmpty || !finishing.isEmpty
  }

  private func endTurn() {
    guard hasEndOfTurnWork else { return }
    isInTurn = true
    for _ in 0..<Self.maxRoundsPerTurn {
      if !afterTurnBodies.isEmpty {
        var bodies: [() -> Void] = []
        swap(&bodies, &afterTurnBodies)
        for body in bodies { body() }
      }
      // Before the flush, which writes what the tasks send.
      runJobs()
      if !unflushed.isEmpty {
        var connections: [Connection] = []
        swap(&connections, &unflushed)
        writtenEarly = 0
        for connection in connections { connection.flushAtEndOfTurn() }
        if unflushed.isEmpty {
          connections.removeAll(keepingCapacity: true)
          swap(&connections, &unflushed)
        }
      }
      if !finishing.isEmpty {
        var connections: [Connection] = []
        swap(&connections, &finishing)
        for connection in connections { connection.deliverClose() }
      }
      if !hasEndOfTurnWork { return }
    }
    mailbox.wake()
  }

  /// A connection has something to do at the end of the turn.
  func willFlush(_ connection: Connection) {
    if unflushed.count - writtenEarly >= Self.maxUnflushedConnections { flushEarly() }
    unflushed.append(connection)
  }

  /// Writes those added since the last time; only those that still have something to do at the end of the turn stay.
  private func flushEarly() {
    var connections: [Connection] = []
    swap(&connections, &unflushed)
    var kept = writtenEarly
    for index in writtenEarly..<connections.count where !connections[index].flushEarly() {
      connections.swapAt(kept, index)
      kept += 1
    }
    connections.removeLast(connections.count - kept)
    writtenEarly = kept
    swap(&connections, &unflushed)
  }

  // Both are used several times for each message, and checking at run time that no two accesses overlap took as long as
  // all else that is done for it outside the kernel.
  // SAFETY: only the loop's thread comes here, and no access spans a call that could come back.

  private var unflushed: [Connection] {
    @inline(__always) _read { yield unsafe uncheckedUnflushed }
    @inline(__always) _modify { yield unsafe &uncheckedUnflushed }
  }

  var outputPool: OutputPool {
    @inline(__always) _read { yield unsafe uncheckedOutputPool }
    @inline(__always) _modify { yield unsafe &uncheckedOutputPool }
  }

  /// Runs the tasks' jobs that are ready.
  @inline(__always)
  func runJobs() {
    guard taskExecutor.queue.hasLocalJobs else { return }
    unsafe taskExecutor.queue.run(taskExecutor.asUnownedTaskExecutor(), serialExecutor.asUnownedSerialExecutor())
  }

  private func openLetters() {
    taskExecutor.queue.admitForeign()
    mailbox.take(into: &letters)
    var batch: [Mailbox.Letter] = []
    swap(&batch, &letters)
    for letter in batch { open(letter) }
    batch.removeAll(keepingCapacity: true)
    swap(&batch, &letters)
  }

  private func open(_ letter: Mailbox.Letter) {
    switch letter {
    case .plain(let body): body()
    case .withLoop(let body): body(self)
    }
  }

  // What leaves a table is released after the access to the table: a user's deinit may come back to the loop.

  func letGo(resource slot: Int) {
    let resource = resources.remove(slot)
    withExtendedLifetime(resource) {}
  }

  func letGo(connection slot: Int) {
    let connection = connections.remove(slot)
    withExtendedLifetime(connection) {}
  }

  func letGo(timer slot: Int) {
    let timer = timers.remove(slot)
    withExtendedLifetime(timer) {}
  }

  private func end() {
    let accepted = mailbox.close()
    for letter in accepted { open(letter) }
    taskExecutor.queue.admitForeign()
    endTurn()
    hasEnded = true
    for timer in timers.elements { timer.loopDidEnd() }
    for connection in connections.elements { connection.loopDidEnd() }
    for resource in resources.elements { resource.loopDidEnd() }
    endTurn()
    taskExecutor.queue.close(taskExecutor, serialExecutor)
    var dropped: [() -> Void] = []
    swap(&dropped, &afterTurnBodies)
    drains = []
  }
}

@available(*, unavailable) extension EventLoop: Sendable {}

/// Something libev calls into; its loop holds it while it is active and tells it when the loop has ended.
protocol LoopResource: AnyObject {
  func loopDidEnd()
}
