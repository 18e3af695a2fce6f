import Primitives
import Reactor

/// One connection through the proxy: what arrives at one end leaves at the other, when the faults let it.
final class FaultLink: ConnectionDelegate {
  /// One direction of it.
  private final class Flow {
    let direction: FaultDirection
    var shaper: Shaper
    var source: Connection?
    var destination: Connection?
    var sourceHasEnded = false
    /// The source was reset during a partition, and the other side does not know.
    var isSourceLost = false
    /// The end has been passed on.
    var isOver = false
    var isSourcePaused = false
    /// What went on so far, for the byte limit.
    var passed = 0
    var timer: Timer?
    var endTimer: Timer?

    init(_ direction: FaultDirection, _ random: SeededGenerator) {
      self.direction = direction
      shaper = Shaper(random)
    }
  }

  private unowned let proxy: FaultProxy
  private let near: Connection
  private var far: Connection?
  private let up: Flow
  private let down: Flow
  /// In a black hole: whatever comes is swallowed, and nobody hears of an end.
  var isDead: Bool
  /// Nobody has taken it up yet: it is neither read nor passed on.
  private var isStalled = false
  private var dialling: ConnectAttempt?
  private var hasEnded = false

  init(_ near: Connection, proxy: FaultProxy) {
    self.proxy = proxy
    self.near = near
    isDead = proxy.isBlackHole
    up = Flow(.up, proxy.random.split())
    down = Flow(.down, proxy.random.split())
    up.source = near
    down.destination = near
    isStalled = proxy.isStalling
    if isStalled { near.pauseReading() } else { dial() }
    near.delegate = self
  }

  /// Takes up a connection that was left waiting.
  func endStall() {
    guard isStalled, !hasEnded else { return }
    isStalled = false
    near.resumeReading()
    dial()
  }

  private func dial() {
    // A black hole swallows the attempt too.
    guard !isDead else { return }
    dialling = Connection.connect(to: proxy.target, on: proxy.loop, timeout: .seconds(5)) { [weak self] result in
      // Without a delegate the connection is aborted by whoever made it.
      self?.didDial(result)
    }
  }

  private func didDial(_ result: Result<Connection, SystemError>) {
    dialling = nil
    guard !hasEnded else { return }
    // What cannot reach its target ends as if the target itself had refused it.
    guard case .success(let far) = result else { return isDead ? endIfForgotten() : cut() }
    guard near.isOpen else { return end() }
    far.delegate = self
    self.far = far
    up.destination = far
    down.source = far
    self.continue(up)
  }

  var heldBytes: Int { up.shaper.waiting + down.shaper.waiting }

  /// One side was reset during a partition, which has kept that from the other one so far.
  var hasLostSource: Bool { up.isSourceLost || down.isSourceLost }

  private func flow(from source: Connection) -> Flow { source === near ? up : down }

  // MARK: Bytes

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    let flow = flow(from: connection)
    guard !isDead, !hasEnded, proxy.faults[flow.direction].delivery != .dropped else {
      proxy.statistics.droppedBytes[flow.direction, default: 0] += bytes.byteCount
      return
    }
    // SAFETY: the pointer is used within the closure only.
    let copy = unsafe bytes.bytes.withUnsafeBytes { unsafe Array($0) }
    flow.shaper.arrive(copy, at: proxy.loop.now)
    pump(flow)
    holdBack(flow)
  }

  /// Passes on what may go, and sees to it that the rest goes in its time.
  private func pump(_ flow: Flow) {
    while let destination = flow.destination, destination.isOpen, !hasEnded, !isDead {
      guard destination.pendingBytes <= destination.options.highWatermarkBytes else { break }
      let faults = proxy.faults[flow.direction]
      switch flow.shaper.next(faults, at: proxy.loop.now) {
      case .idle:
        flow.timer?.cancel()
        endIfDone(flow)
        return
      case .wait(let until):
        if flow.timer == nil {
          flow.timer = proxy.loop.makeTimer { [weak self, weak flow] in
            if let self, let flow { self.continue(flow) }
          }
        }
        flow.timer?.start(after: max(until - proxy.loop.now, .milliseconds(1)))
        return
      case .bytes(let bytes): guard pass(bytes, flow, to: destination, faults) else { return }
      }
    }
  }

  private func `continue`(_ flow: Flow) {
    pump(flow)
    holdBack(flow)
  }

  /// - Returns: whether the connection still lives.
  private func pass(_ bytes: [UInt8], _ flow: Flow, to destination: Connection, _ faults: Faults) -> Bool {
    let limit = faults.byteLimit.map { max(0, $0 - flow.passed) } ?? .max
    let untilCut = proxy.remaining[flow.direction] ?? .max
    let count = min(bytes.count, limit, untilCut)
    destination.send(count == bytes.count ? bytes : Array(bytes.prefix(count)))
    if faults.sliceBytes != nil || count < bytes.count || count == limit || count == untilCut { destination.flush() }
    flow.passed += count
    proxy.passed(count, flow.direction, corrupted: flow.shaper.corrupted - (counted[flow.direction] ?? 0))
    counted[flow.direction] = flow.shaper.corrupted
    if count == untilCut {
      proxy.cutSoon()
      return false
    }
    guard count == limit else { return true }
    switch faults.ending {
    case .close: finish()
    case .reset: proxy.loop.schedule(after: FaultProxy.resetDelay) { [weak self] in self?.cut() }
    }
    return false
  }

  private var counted: [FaultDirection: Int] = [:]

  /// A sender that is faster than the line waits, as it would behind a full kernel buffer.
  private func holdBack(_ flow: Flow) {
    let divisor = flow.isSourcePaused ? 2 : 1
    let isFull =
      flow.shaper.waiting > FaultProxy.maxHeldBytes / divisor
      || flow.shaper.waitingReads > FaultProxy.maxHeldReads / divisor
    guard isFull != flow.isSourcePaused else { return }
    flow.isSourcePaused = isFull
    if isFull { flow.source?.pauseReading() } else { flow.source?.resumeReading() }
  }

  func connectionDidDrainBelowLowWatermark(_ connection: Connection) {
    self.continue(connection === near ? down : up)
  }

  /// The faults are other ones now.
  func faultsChanged() {
    for flow in [up, down] {
      let delivery = proxy.faults[flow.direction].delivery
      // Whoever was told nothing during the partition hears of the reset after it.
      if flow.isSourceLost, delivery == .flowing { return cut() }
      if delivery == .dropped {
        proxy.statistics.droppedBytes[flow.direction, default: 0] += flow.shaper.waiting
        flow.shaper.clear()
      }
      self.continue(flow)
    }
  }

  // MARK: Ends

  func connectionDidReachEndOfStream(_ connection: Connection) {
    guard !hasEnded else { return }
    let flow = flow(from: connection)
    flow.sourceHasEnded = true
    if isDead { endIfForgotten() } else { pump(flow) }
  }

  /// The end follows the last byte.
  private func endIfDone(_ flow: Flow) {
    guard flow.sourceHasEnded, !flow.isOver, flow.shaper.isEmpty, flow.endTimer == nil,
      proxy.faults[flow.direction].delivery == .flowing
    else { return }
    let delay = proxy.faults[flow.direction].closeDelay
    guard delay > .zero else { return passEnd(of: flow) }
    flow.endTimer = proxy.loop.schedule(after: delay) { [weak self, weak flow] in
      if let self, let flow { passEnd(of: flow) }
    }
  }

  private func passEnd(of flow: Flow) {
    guard !flow.isOver, !hasEnded else { return }
    flow.isOver = true
    flow.destination?.shutdownWrite()
    if up.isOver, down.isOver { finish() }
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    guard !hasEnded else { return }
    if isDead { return endIfForgotten() }
    let flow = flow(from: connection)
    // An orderly end was passed on, or waits behind what is held.
    if error == nil, flow.sourceHasEnded { return }
    // In a partition nobody hears that the other side has gone.
    guard proxy.faults[flow.direction].delivery == .flowing else { return flow.isSourceLost = true }
    cut()
  }

  /// Nobody is told of the end of a dead connection; but once both sides have sent their end or are gone, there is nobody
  /// left to play dead for, and descriptors to give back.
  private func endIfForgotten() {
    guard !hasEnded, up.sourceHasEnded || !near.isOpen, dialling == nil, down.sourceHasEnded || far?.isOpen != true
    else { return }
    end()
    near.abort()
    far?.abort()
  }

  /// One end goes and the other is told nothing: a machine that lost its power, seen from the other side.
  func leaveHalfOpen(_ gone: FaultProxy.End) {
    guard !hasEnded else { return }
    isDead = true
    switch gone {
    case .near: near.abort()
    case .far: far?.abort()
    }
  }

  /// Ends both sides in order, with what they were sent.
  private func finish() {
    guard !hasEnded else { return }
    end()
    near.close()
    far?.close()
  }

  func cut() {
    guard !hasEnded else { return }
    end()
    proxy.statistics.resets += 1
    near.abort()
    far?.abort()
  }

  private func end() {
    hasEnded = true
    dialling?.cancel()
    for flow in [up, down] {
      flow.timer?.cancel()
      flow.endTimer?.cancel()
      flow.shaper.clear()
    }
    proxy.links[ObjectIdentifier(self)] = nil
  }
}
