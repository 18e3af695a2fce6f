import CoordinationCore

/// What somebody here wants to know of all coordinators' workers, until it is known; and what others want to know of those
/// here.
final class FleetQuestions {
  /// Of one coordinator; a fleet that is larger is looked at where it is.
  private static let maxWorkers = 5_000
  /// Of the workers in one message, in bytes; one that is larger has a message of its own.
  private static let maxBytes = 7_500
  /// What is told of one coordinator's workers, in bytes, after which no more telemetry goes with them.
  private static let maxTelemetryBytes = 8 << 20

  private enum Waiting {
    case workers(own: [JSONObject], ([JSONObject]) -> Void)
    case abilities(([TaskNeeds: Ability]) -> Void)
  }

  private unowned let runtime: CoordinatorRuntime
  private var waiting: [RequestID: Waiting] = [:]
  private var last: UInt64 = 0

  init(_ runtime: CoordinatorRuntime) { self.runtime = runtime }

  /// Every worker that any coordinator knows, as people see them.
  func workers(_ call: RollCall, _ answer: @escaping ([JSONObject]) -> Void) {
    let own =
      call.worker.map { runtime.workerSummary($0).map { [$0] } ?? [] } ?? runtime.workerSummaries
    let shown = own.map { $0.presentation(withTelemetry: call.withTelemetry) }
    let id = wait(.workers(own: shown, answer))
    runtime.place?.handle(.calledRoll(id, call, own: shown))
  }

  /// What all coordinators' workers can do; needs of which that is not known just now are missing.
  func abilities(_ needs: [TaskNeeds], _ answer: @escaping ([TaskNeeds: Ability]) -> Void) {
    let id = wait(.abilities(answer))
    runtime.place?.handle(.wanted(id, needs))
  }

  private func wait(_ kind: Waiting) -> RequestID {
    last += 1
    let id = RequestID(last)
    waiting[id] = kind
    return id
  }

  func rolled(_ id: RequestID, _ workers: [JSONObject]) {
    if case .workers(_, let answer) = waiting.removeValue(forKey: id) { answer(workers) }
  }

  func able(_ id: RequestID, _ abilities: [TaskNeeds: Ability]) {
    if case .abilities(let answer) = waiting.removeValue(forKey: id) { answer(abilities) }
  }

  /// This coordinator has lost its place: nobody answers any more.
  func abandon() {
    let all = waiting
    waiting = [:]
    for (_, one) in all.sorted(by: { $0.key.number < $1.key.number }) {
      switch one {
      case .workers(let own, let answer): answer(own)
      case .abilities(let answer): answer([:])
      }
    }
  }

  /// Another member wants to know which workers there are here.
  func answer(_ number: UInt64, _ call: RollCall, for member: MemberID, _ cluster: ClusterShell) {
    let summaries = call.worker.map { runtime.workerSummary($0).map { [$0] } ?? [] } ?? runtime.workerSummaries
    var (part, bytes, count, telemetryBytes): ([JSONObject], Int, Int, Int) = ([], 0, 0, 0)
    for summary in summaries.prefix(Self.maxWorkers) {
      let worker = summary.presentation(withTelemetry: call.withTelemetry && telemetryBytes < Self.maxTelemetryBytes)
      let size = JSONValue.object(worker).text.utf8.count
      if bytes + size > Self.maxBytes, !part.isEmpty {
        cluster.send(.rolled(number, part, isLast: false, total: nil), to: member)
        (part, bytes) = ([], 0)
      }
      // One with very many tasks does not fit even a long message.
      guard size < LongMessages.maxBytes - Self.maxBytes else { continue }
      part.append(worker)
      bytes += size
      count += 1
      telemetryBytes += size
    }
    cluster.send(.rolled(number, part, isLast: true, total: count), to: member)
  }
}

@available(*, unavailable) extension FleetQuestions: Sendable {}
