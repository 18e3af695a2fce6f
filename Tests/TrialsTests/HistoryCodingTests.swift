import CoordinationCore
import History
import Primitives
import Testing

@Suite struct HistoryCodingTests {
  private static let key: AttemptKey = {
    do { return AttemptKey(try TaskID("run-1{a}"), 3) } catch { preconditionFailure("\(error)") }
  }()
  private static let (worker, session) = names()
  private static let checkpoint = CheckpointKey(attempt: 2, number: 7)

  private static let requirements: Requirements = {
    var requirements = Requirements()
    for text in ["gpu=1", "zone=eu,us", "memory_mb>=2048", "!arm"] { try? requirements.add(argument: text) }
    return requirements
  }()
  private static let capabilities: WorkerCapabilities = {
    var capabilities = WorkerCapabilities(slots: 4_096, kinds: ["command", "work"])
    try? capabilities.labels.set("gpu", "1")
    return capabilities
  }()

  private static func names() -> (WorkerID, SessionID) {
    do { return (try WorkerID("w1"), try SessionID("0f")) } catch { preconditionFailure("\(error)") }
  }

  static let events: [HistoryEvent] = [
    .submitAsked([key.taskID]), .submitAsked([]), .submitAcknowledged([key.taskID, key.taskID]),
    .cancelAcknowledged(key.taskID), .required(key.taskID, requirements, slots: 3),
    .required(key.taskID, Requirements(), slots: 1), .offered(worker, capabilities),
    .coordinatorStarted([
      StoredTask(id: key.taskID, status: .running, attempt: 3, worker: worker, checkpoint: checkpoint),
      StoredTask(id: key.taskID, status: .queued, attempt: 0, worker: nil, checkpoint: nil),
    ]),
    .commitBegun(
      batch: .max,
      [
        .submitted(key.taskID), .state(key.taskID, .completed, attempt: 3, worker: worker),
        .state(key.taskID, .queued, attempt: 0, worker: nil),
        .attempt(key, .lost, worker, resumedFrom: checkpoint), .attempt(key, .running, worker, resumedFrom: nil),
        .checkpoint(key.taskID, checkpoint), .output(key),
      ]),
    .committed(batch: 1), .registered(worker, session, resumed: true),
    .coordinatorHandled(worker, session, sequence: 12, .taskResult),
    .staleAttemptRefused(key, worker, "a kind of \"another\" service"), .workerStarted(worker, boot: "abc"),
    .workerEnded(worker),
    .sessionJoined(worker, session, resumed: false), .workerHandled(worker, session, sequence: 1, .stateSyncAck),
    .attemptStarted(key, worker, from: checkpoint), .attemptStarted(key, worker, from: nil),
    .attemptStopped(key, worker, .leaseExpired), .attemptStopped(key, worker, .superseded),
    .attemptStopped(key, worker, .cancelled), .attemptStopped(key, worker, .stopping), .attemptEnded(key, worker),
    .persisted(key, checkpoint: 4, worker), .persisted(key, checkpoint: nil, worker),
    .forgotten(key, checkpoint: 4, worker), .forgotten(key, checkpoint: nil, worker), .verdict(key, worker, .keep),
    .verdict(key, worker, .cancel), .verdict(key, worker, .restart), .verdict(key, worker, .done),
    .fault("kill -9 w1\n\"now\""), .measured("outbox", owner: "w1", value: 3, limit: 4_096), .faultsEnded,
  ]

  @Test(arguments: events) func `an event is read back as it was written`(event: HistoryEvent) throws {
    let record = HistoryRecord(event, at: Instant(nanoseconds: 1_234_567_890_123))
    let text = try HistoryText(Array((record.line + "\n").utf8))
    #expect(text.records == [record])
    #expect(!text.isCutShort)
  }

  @Test func `a line that a killed process left unfinished is not read, and said`() throws {
    let record = HistoryRecord(.committed(batch: 7), at: .zero)
    let bytes = Array((record.line + "\n" + record.line).utf8)
    for cut in record.line.utf8.count + 2..<bytes.count {
      let text = try HistoryText(Array(bytes[..<cut]))
      #expect(text.records == [record])
      #expect(text.isCutShort)
    }
  }

  @Test(arguments: [
    ("{}\n", "the field event is missing"), ("nothing\n", "not JSON"), ("[]\n", "not an object"),
    ("{\"t\":1,\"event\":\"invented\"}\n", "invented is not known"),
    ("{\"t\":1,\"event\":\"committed\"}\n", "the field batch is missing"),
    ("{\"event\":\"faultsEnded\"}\n", "the field t is missing"),
  ])
  func `a line that is no record is an error that says where and why`(line: String, problem: String) {
    let good = HistoryRecord(.faultsEnded, at: .zero).line + "\n"
    do {
      _ = try HistoryText(Array((good + line).utf8))
      Issue.record("\(line) was read")
    } catch {
      #expect(error.line == 2)
      #expect(problem == "not JSON" || error.problem.contains(problem), "\(error)")
    }
  }

  @Test func `histories are merged by time, and each keeps its order`() throws {
    func record(_ time: Int64, _ text: String) -> HistoryRecord {
      HistoryRecord(.fault(text), at: Instant(nanoseconds: time))
    }
    let merged = HistoryText.merged([
      [record(1, "a"), record(3, "b"), record(3, "c")], [record(2, "d"), record(3, "e")],
    ])
    #expect(merged.map(\.event) == ["a", "d", "b", "c", "e"].map { HistoryEvent.fault($0) })
  }
}
