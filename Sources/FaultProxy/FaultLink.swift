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
  private var hasEnded = false

  init(_ near: Connection, proxy: FaultProxy) {
    self.proxy = proxy
    self.near = near
    isDead = proxy.isBlackHole
    up = Flow(.up, proxy.random.split())
    down = Flow(.down, proxy.random.split())
    up.source = near
    down.destination = near
    near.delegate = self
    _ = Connection.connect(to: proxy.target, on: proxy.loop, timeout: .seconds(5)) { [self] result in
      // What cannot reach its target ends as if the target itself had refused it.
      guard case .success(let far) = result else { return cut() }
      guard !hasEnded, near.isOpen else { return far.abort() }
      far.delegate = self
      self.far = far
      up.destination = far
      down.source = far
      pump(up)
    }
  }

  var heldBytes: Int { up.shaper.waiting + down.shaper.waiting }

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
        if flow.timer == nil { flow.timer = proxy.loop.makeTimer { [weak self] in self?.continue(flow) } }
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
      // A reset overtakes what the kernel still holds, so the last bytes get a moment to arrive.
      let proxy = self.proxy
      proxy.loop.schedule(after: .milliseconds(5)) { [weak proxy] in proxy?.cut() }
      return false
    }
    guard count == limit else { return true }
    switch faults.ending {
    case .close: finish()
    case .reset: proxy.loop.schedule(after: .milliseconds(5)) { [weak self] in self?.cut() }
    }
    return false
  }

  private var counted: [FaultDirection: Int] = [:]

  /// A sender that is faster than the line waits, as it would behind a full kernel buffer.
  private func holdBack(_ flow: Flow) {
    let isFull = flow.shaper.waiting > (flow.isSourcePaused ? FaultProxy.maxHeldBytes / 2 : FaultProxy.maxHeldBytes)
    guard isFull != flow.isSourcePaused else { return }
    flow.isSourcePaused = isFull
    if isFull { flow.source?.pauseReading() } else { flow.source?.resumeReading() }
  }

  func connectionDidDrainBelowLowWatermark(_ connection: Connection) {
    self.continue(connection === near ? down : up)
  }

  /// The faults are other ones now.
  func faultsChanged() {
    for flow in [up, down] { self.continue(flow) }
  }

  // MARK: Ends

  func connectionDidReachEndOfStream(_ connection: Connection) {
    guard !isDead, !hasEnded else { return }
    let flow = flow(from: connection)
    flow.sourceHasEnded = true
    pump(flow)
  }

  /// The end follows the last byte.
  private func endIfDone(_ flow: Flow) {
    guard flow.sourceHasEnded, !flow.isOver, flow.shaper.isEmpty, flow.endTimer == nil,
      proxy.faults[flow.direction].delivery == .flowing
    else { return }
    let delay = proxy.faults[flow.direction].closeDelay
    guard delay > .zero else { return passEnd(of: flow) }
    flow.endTimer = proxy.loop.schedule(after: delay) { [weak self] in self?.passEnd(of: flow) }
  }

  private func passEnd(of flow: Flow) {
    guard !flow.isOver, !hasEnded else { return }
    flow.isOver = true
    flow.destination?.shutdownWrite()
    if up.isOver, down.isOver { finish() }
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    guard !hasEnded else { return }
    if isDead {
      // Nobody is told; but once neither side is there any more, there is nothing left to play dead for.
      if !near.isOpen, far?.isOpen != true { end() }
      return
    }
    let flow = flow(from: connection)
    // An orderly end was passed on, or waits behind what is held.
    if error == nil, flow.sourceHasEnded { return }
    // In a partition nobody hears that the other side has gone.
    guard proxy.faults[flow.direction].delivery == .flowing else { return }
    cut()
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
    for flow in [up, down] {
      flow.timer?.cancel()
      flow.endTimer?.cancel()
      flow.shaper.clear()
    }
    proxy.links[ObjectIdentifier(self)] = nil
  }
}
