import CoordinationCore
import Primitives

/// One connection of a simulated fleet: two byte queues that keep their order, and everything that can happen to them.
final class SimulatedLink {
  let id: ConnectionID
  unowned let fleet: SimulatedFleet
  unowned let coordinator: SimulatedCoordinator
  unowned let worker: SimulatedWorker
  private let workerRun: Int
  private let coordinatorRun: Int
  private(set) var isCut = false
  /// A one-way partition that no connection outlives: nothing arrives any more in this direction, and nobody is told.
  var losesUp = false
  var losesDown = false
  /// Added to the latency of every message: a slow line.
  var delay: Duration = .zero
  /// One bit of the next message changes on the way.
  var corruptsNextMessage = false
  var corruptsNextAnswer = false
  private var coordinatorSideIsOpen = true
  private var workerSideIsOpen = true
  private var lastUp: Instant = .zero
  private var lastDown: Instant = .zero

  init(_ id: ConnectionID, _ worker: SimulatedWorker, _ coordinator: SimulatedCoordinator) {
    self.id = id
    self.worker = worker
    self.coordinator = coordinator
    fleet = coordinator.fleet
    workerRun = worker.run
    coordinatorRun = coordinator.run
  }

  /// Nothing arrives any more, and nobody is told.
  var isBlackHole: Bool {
    get { losesUp && losesDown }
    set {
      losesUp = newValue
      losesDown = newValue
    }
  }

  private var reachesCoordinator: Bool { coordinatorSideIsOpen && coordinatorRun == coordinator.run }
  private var reachesWorker: Bool { workerSideIsOpen && workerRun == worker.run && worker.link === self }

  /// Until then nothing arrives; then all of it does, in order: a partition that the connection outlives.
  func hold(up: Bool, down: Bool, until time: Instant) {
    if up { lastUp = max(lastUp, time) }
    if down { lastDown = max(lastDown, time) }
  }

  private(set) var isCongestedUp = false

  /// Whoever sends is told to hold back until then.
  func congest(up: Bool, down: Bool, until time: Instant) {
    congest(up: up, down: down, true)
    fleet.schedule(at: time) { [self] in congest(up: up, down: down, false) }
  }

  private func congest(up: Bool, down: Bool, _ isCongested: Bool) {
    guard !isCut else { return }
    if up {
      isCongestedUp = isCongested
      if reachesWorker { worker.handles(.sendingHeldBack(isCongested)) }
    }
    if down, reachesCoordinator { coordinator.handles(.sendingHeldBack(id, isCongested)) }
  }

  func up(_ event: CoordinatorEvent) {
    lastUp = max(lastUp, fleet.now + fleet.draw(fleet.options.latency) + delay)
    fleet.schedule(at: lastUp) { [self] in
      if !isCut, !losesUp, reachesCoordinator { coordinator.handles(event) }
    }
  }

  func down(_ event: WorkerEvent) {
    lastDown = max(lastDown, fleet.now + fleet.draw(fleet.options.latency) + delay)
    fleet.schedule(at: lastDown) { [self] in
      if !isCut, !losesDown, reachesWorker { worker.handles(event) }
    }
  }

  func sendUp(_ bytes: [UInt8]) {
    guard workerSideIsOpen else { return }
    up(.received(id, Self.corrupted(bytes, &corruptsNextMessage)))
  }

  func sendDown(_ bytes: [UInt8]) {
    if coordinatorSideIsOpen { down(.received(Self.corrupted(bytes, &corruptsNextAnswer))) }
  }

  private static func corrupted(_ bytes: [UInt8], _ corrupts: inout Bool) -> [UInt8] {
    guard corrupts, !bytes.isEmpty else { return bytes }
    corrupts = false
    var bytes = bytes
    bytes[bytes.count / 2] ^= 1
    return bytes
  }

  func closeByWorker() {
    guard workerSideIsOpen else { return }
    workerSideIsOpen = false
    lastUp = max(lastUp, fleet.now + fleet.draw(fleet.options.latency))
    fleet.schedule(at: lastUp) { [self] in if !losesUp { tellCoordinator() } }
  }

  func closeByCoordinator(_ reason: String, retryAfter: Duration? = nil) {
    guard coordinatorSideIsOpen else { return }
    coordinatorSideIsOpen = false
    lastDown = max(lastDown, fleet.now + fleet.draw(fleet.options.latency))
    fleet.schedule(at: lastDown) { [self] in if !losesDown { tellWorker(reason, retryAfter: retryAfter) } }
  }

  /// What is in flight is lost, the rest of a message that was half sent as well, and both ends hear of it.
  func cut() {
    guard !isCut else { return }
    isCut = true
    fleet.schedule(at: fleet.now + fleet.draw(fleet.options.latency)) { [self] in tellCoordinator() }
    fleet.schedule(at: fleet.now + fleet.draw(fleet.options.latency)) { [self] in tellWorker("the link was cut") }
  }

  /// One end hears that the connection has ended, and the other never does.
  func leaveHalfOpen(tellingWorker: Bool) {
    guard !isCut else { return }
    isCut = true
    fleet.schedule(at: fleet.now + fleet.draw(fleet.options.latency)) { [self] in
      if tellingWorker { tellWorker("the link was cut") } else { tellCoordinator() }
    }
  }

  private func tellCoordinator() {
    guard reachesCoordinator else { return }
    coordinatorSideIsOpen = false
    coordinator.handles(.disconnected(id))
  }

  private func tellWorker(_ reason: String, retryAfter: Duration? = nil) {
    guard reachesWorker else { return }
    workerSideIsOpen = false
    worker.link = nil
    worker.handles(.disconnected(reason, retryAfter: retryAfter))
  }
}
