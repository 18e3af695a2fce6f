import CoordinationCore
import History
import Primitives
import Testing

@testable import Trials

@Suite struct FailoversTests {
  private func registered(_ worker: String, at seconds: Int64) throws -> HistoryRecord {
    HistoryRecord(
      .registered(try WorkerID(worker), try SessionID("\(worker)-\(seconds)"), resumed: false),
      at: Instant(nanoseconds: seconds * 1_000_000_000))
  }

  private func departure(_ coordinator: String, at seconds: Int64) -> Failovers.Departure {
    Failovers.Departure(coordinator: coordinator, time: Instant(nanoseconds: seconds * 1_000_000_000))
  }

  @Test func `sessions of a departed coordinator are those that it had last, wherever they come back`() throws {
    let failovers = Failovers([
      "a": [try registered("w1", at: 1), try registered("w2", at: 1), try registered("w3", at: 2)],
      "b": [try registered("w2", at: 3), try registered("w1", at: 12), try registered("w2", at: 20)],
      "c": [try registered("w3", at: 14)],
    ])
    let outcome = failovers.outcome(of: departure("a", at: 10))
    #expect(outcome.sessions == 2)
    #expect(outcome.missing.isEmpty)
    #expect(outcome.longest == .seconds(4))
    #expect(outcome.moved[try WorkerID("w1")]?.coordinator == "b")
    #expect(outcome.moved[try WorkerID("w3")]?.coordinator == "c")
    #expect(failovers.sessions(at: Instant(nanoseconds: 10_000_000_000))["b"] == [try WorkerID("w2")])
  }

  @Test func `a session that never comes back is named`() throws {
    let failovers = Failovers(["a": [try registered("w1", at: 1)], "b": []])
    let outcome = failovers.outcome(of: departure("a", at: 10))
    #expect(outcome.missing == [try WorkerID("w1")])
    #expect(failovers.outcome(of: departure("b", at: 10)).sessions == 0)
  }
}
