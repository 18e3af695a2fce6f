import CoordinationCore
import Primitives

/// One connection of a simulated fleet: two byte queues that keep their order, and can be cut, black-holed or corrupted.
final class FleetLink {
  let id: ConnectionID
  unowned let fleet: CoreFleet
  unowned let worker: FleetWorker
  private let workerRun: Int
  private let coordinatorRun: Int
  private(set) var isCut = false
  /// Nothing arrives any more, and nobody is told.
  var isBlackHole = false
  /// One bit of the next message to the coordinator changes on the way.
  var corruptsNextMessage = false
  private var coordinatorSideIsOpen = true
  private var workerSideIsOpen = true
  private var lastUp: Instant = .zero
  private var lastDown: Instant = .zero

  init(_ id: ConnectionID, _ worker: FleetWorker, _ fleet: CoreFleet) {
    self.id = id
    self.worker = worker
    self.fleet = fleet
    workerRun = worker.run
    coordinatorRun = fleet.coordinatorRun
  }

  private var reachesCoordinator: Bool { coordinatorSideIsOpen && coordinatorRun == fleet.coordinatorRun }
  private var reachesWorker: Bool { workerSideIsOpen && workerRun == worker.run && worker.link === self }

  func up(_ event: CoordinatorEvent) {
    lastUp = max(lastUp, fleet.now + fleet.draw(fleet.options.latency))
    fleet.schedule(at: lastUp) { [self] in
      if !isCut, !isBlackHole, reachesCoordinator { fleet.coordinatorHandles(event) }
    }
  }

  func down(_ event: WorkerEvent) {
    lastDown = max(lastDown, fleet.now + fleet.draw(fleet.options.latency))
    fleet.schedule(at: lastDown) { [self] in
      if !isCut, !isBlackHole, reachesWorker { worker.handles(event) }
    }
  }

  func sendUp(_ bytes: [UInt8]) {
    guard workerSideIsOpen else { return }
    var bytes = bytes
    if corruptsNextMessage {
      corruptsNextMessage = false
      bytes[bytes.count / 2] ^= 1
    }
    up(.received(id, bytes))
  }

  func sendDown(_ bytes: [UInt8]) {
    if coordinatorSideIsOpen { down(.received(bytes)) }
  }

  func closeByWorker() {
    guard workerSideIsOpen else { return }
    workerSideIsOpen = false
    lastUp = max(lastUp, fleet.now + fleet.draw(fleet.options.latency))
    fleet.schedule(at: lastUp) { [self] in if !isBlackHole { tellCoordinator() } }
  }

  func closeByCoordinator(_ reason: String) {
    guard coordinatorSideIsOpen else { return }
    coordinatorSideIsOpen = false
    lastDown = max(lastDown, fleet.now + fleet.draw(fleet.options.latency))
    fleet.schedule(at: lastDown) { [self] in if !isBlackHole { tellWorker(reason) } }
  }

  /// What is in flight is lost, and both ends hear of it.
  func cut() {
    guard !isCut else { return }
    isCut = true
    fleet.schedule(at: fleet.now + fleet.draw(fleet.options.latency)) { [self] in tellCoordinator() }
    fleet.schedule(at: fleet.now + fleet.draw(fleet.options.latency)) { [self] in tellWorker("the link was cut") }
  }

  private func tellCoordinator() {
    guard reachesCoordinator else { return }
    coordinatorSideIsOpen = false
    fleet.coordinatorHandles(.disconnected(id))
  }

  private func tellWorker(_ reason: String) {
    guard reachesWorker else { return }
    workerSideIsOpen = false
    worker.link = nil
    worker.handles(.disconnected(reason))
  }
}
