import CoordinationCore
import Primitives
import Reactor
import Storage

/// Asks all coordinators of a store for the workers that they know, for whoever wants to see the whole fleet.
final class WorkerRoll {
  /// One that does not answer by then is left out.
  private static let patience: Duration = .seconds(1)
  /// Of one coordinator; a fleet that is larger is looked at where it is.
  private static let maxWorkers = 5_000
  /// Of one message, which has other words besides.
  private static let maxBytes = 7_500

  private final class Call {
    var awaited: Set<MemberID>
    var workers: [String: JSONObject] = [:]
    let answer: ([JSONObject]) -> Void

    init(_ awaited: Set<MemberID>, _ answer: @escaping ([JSONObject]) -> Void) {
      self.awaited = awaited
      self.answer = answer
    }

    func add(_ workers: [JSONObject]) {
      for worker in workers {
        guard let id = worker["worker_id"]?.string else { continue }
        // One that went from one coordinator to another is known to both for a while.
        if let known = self.workers[id], Self.isThere(known) || !Self.isThere(worker) { continue }
        self.workers[id] = worker
      }
    }

    private static func isThere(_ worker: JSONObject) -> Bool {
      let state = worker["state"]?.string.flatMap(WorkerSummary.State.init(rawValue:))
      return state == .connected || state == .draining
    }

    func finish() { answer(workers.sorted { $0.key < $1.key }.map(\.value)) }
  }

  private unowned let runtime: CoordinatorRuntime
  private var calls: [UInt64: Call] = [:]
  private var last: UInt64 = 0

  init(_ runtime: CoordinatorRuntime) { self.runtime = runtime }

  func call(_ cluster: ClusterShell, withTelemetry: Bool, _ answer: @escaping ([JSONObject]) -> Void) {
    let others = Set(cluster.core.members.keys).subtracting([cluster.core.me])
    let call = Call(others, answer)
    call.add(runtime.workerSummaries.map { $0.presentation(withTelemetry: withTelemetry) })
    guard !others.isEmpty else { return call.finish() }
    last += 1
    let number = last
    calls[number] = call
    cluster.store.send(ClusterMessage.roll(number).text, to: nil)
    _ = runtime.loop.schedule(after: Self.patience) { [weak self] in self?.end(number) }
  }

  func answer(_ number: UInt64, for member: MemberID, _ cluster: ClusterShell) {
    var (part, bytes): ([JSONObject], Int) = ([], 0)
    for summary in runtime.workerSummaries.prefix(Self.maxWorkers) {
      let worker = summary.presentation
      let size = JSONValue.object(worker).text.utf8.count
      if bytes + size > Self.maxBytes, !part.isEmpty {
        cluster.store.send(ClusterMessage.rolled(number, part, isLast: false).text, to: member)
        (part, bytes) = ([], 0)
      }
      // One with ever so many labels or tasks does not fit a message.
      guard size <= Self.maxBytes else { continue }
      part.append(worker)
      bytes += size
    }
    cluster.store.send(ClusterMessage.rolled(number, part, isLast: true).text, to: member)
  }

  func heard(_ number: UInt64, _ workers: [JSONObject], isLast: Bool, by member: MemberID) {
    guard let call = calls[number] else { return }
    call.add(workers)
    guard isLast, call.awaited.remove(member) != nil, call.awaited.isEmpty else { return }
    end(number)
  }

  private func end(_ number: UInt64) { calls.removeValue(forKey: number)?.finish() }
}

@available(*, unavailable) extension WorkerRoll: Sendable {}
