import FaultProxy
import Glibc
import Primitives
import Reactor
import TestSupport

/// Draws faults from a seed and does them to a fleet of workers behind relays, one after the other.
final class FaultSchedule {
  /// A worker, whoever it is at the moment, and the way it goes to its coordinator.
  private final class Post {
    let id: String
    let relay: FaultRelay
    var worker: TestProcess

    init(_ id: String, _ fleet: Fleet, slots: Int) throws {
      self.id = id
      relay = try FaultRelay(to: fleet.address)
      worker = try fleet.startWorker(id, slots: slots, through: relay)
    }
  }

  private let fleet: Fleet
  private let posts: [Post]
  private let slots: Int
  private var random: SeededGenerator
  private let start = MonotonicClock.now()
  /// What was done, and when, in milliseconds since the start.
  private(set) var history: [String] = []

  init(_ fleet: Fleet, seed: UInt64, workers: Int, slots: Int) throws {
    self.fleet = fleet
    self.slots = slots
    random = SeededGenerator(seed: seed)
    posts = try (1...workers).map { try Post("w\($0)", fleet, slots: slots) }
  }

  /// Does one fault after the other until the time is up or `isOver`; afterwards everybody is there and nothing is cut.
  func run(for time: Duration, until isOver: () -> Bool) throws {
    while MonotonicClock.now() - start < time, !isOver() {
      pause(Int.random(in: 100...900, using: &random), isOver)
      try one(isOver)
    }
    note("everything is whole again")
  }

  func stop() { for post in posts { post.relay.stop() } }

  private func note(_ what: String) { history.append("\((MonotonicClock.now() - start).wholeMilliseconds) \(what)") }

  /// The schedule's own time, in which the fleet works undisturbed, or suffers.
  private func pause(_ milliseconds: Int, _ isOver: () -> Bool) {
    let end = MonotonicClock.now() + .milliseconds(milliseconds)
    while MonotonicClock.now() < end, !isOver() { poll(nil, 0, 10) }
  }

  private func one(_ isOver: () -> Bool) throws {
    let post = posts[Int.random(in: 0..<posts.count, using: &random)]
    let kind = Int.random(in: 0..<100, using: &random)
    let bytes = Int.random(in: 1...3_000, using: &random)
    let length = Int.random(in: 100...2_500, using: &random)
    let isShort = Bool.random(using: &random)
    switch kind {
    case 0..<20:
      note("cut \(post.id)")
      post.relay.cut()
    case 20..<40:
      note("cut \(post.id) after \(bytes) bytes \(isShort ? "up" : "down")")
      post.relay.cut(after: bytes, isShort ? .up : .down)
    case 40..<55:
      note("black hole at \(post.id) for \(length) ms")
      post.relay.setBlackHole(true)
      pause(length, isOver)
      post.relay.setBlackHole(false)
    case 55..<70:
      note("kill \(post.id)" + (isShort ? "" : " for \(length) ms"))
      try post.worker.kill()
      if !isShort { pause(length, isOver) }
      post.worker = try fleet.startWorker(post.id, slots: slots, through: post.relay)
    case 70..<80:
      note("freeze \(post.id) for \(length) ms")
      post.worker.signal(SIGSTOP)
      pause(length, isOver)
      post.worker.signal(SIGCONT)
    case 80..<90:
      note("kill the coordinator" + (isShort ? "" : " for \(length) ms"))
      try fleet.killCoordinator()
      if !isShort { pause(length, isOver) }
      try fleet.restartCoordinator()
    default:
      note("kill the coordinator and \(post.id)")
      try fleet.killCoordinator()
      try post.worker.kill()
      post.worker = try fleet.startWorker(post.id, slots: slots, through: post.relay)
      try fleet.restartCoordinator()
    }
  }
}
