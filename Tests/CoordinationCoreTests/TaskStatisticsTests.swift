import Primitives
import Testing

@testable import CoordinationCore

@Suite(.timeLimit(.minutes(5)))
struct TaskStatisticsTests {
  /// Where tasks stand, counted anew.
  private func recounted(_ book: TaskBook) -> [TaskStatus: Int] {
    Dictionary(grouping: book.tasks.values, by: \.state.status).mapValues(\.count)
  }

  @Test(arguments: TaskBookTests.Stage.allCases)
  func `the counts agree with the tasks after every operation in every stage`(stage: TaskBookTests.Stage) {
    for operation in TaskBookTests.Operation.allCases {
      var fixture = TaskBookTests.Fixture(stage)
      _ = fixture.perform(operation)
      let recounted = recounted(fixture.book)
      let statistics = fixture.book.statistics
      for status in TaskStatus.allCases where !status.isTerminal {
        #expect(statistics[status] == recounted[status] ?? 0, "\(operation) in \(stage): \(status)")
      }
      let ended = statistics.completed + statistics.failed + statistics.cancelled
      #expect(statistics.submitted == ended + UInt64(fixture.book.tasks.count), "\(operation) in \(stage)")
    }
  }

  @Test
  func `a queued task is counted under its priority, and its wait when it is given out`() throws {
    var book = TaskBook(checkpointsKept: 1)
    let specification = TaskSpecification(name: "t", work: .custom(kind: "work", input: [:]), priority: .low)
    let isNew = book.submit(TaskBookTests.id, specification, wall: WallTime(milliseconds: 1_000))
    #expect(isNew)
    #expect(book.statistics.queued(.low) == 1)
    #expect(book.statistics.queued(.normal) == 0)
    let ready = book.nextReady(kind: "work", wall: WallTime(milliseconds: 3_500))
    let task = try #require(ready)
    book.assign(task, to: TaskBookTests.worker, wall: WallTime(milliseconds: 3_500))
    #expect(book.statistics.queued(.low) == 0)
    #expect(book.statistics.queueWait.count == 1)
    #expect(book.statistics.queueWait.sum == 2_500)
    _ = book.end(
      TaskBookTests.id, attempt: 1, worker: TaskBookTests.worker, AttemptEnding(.completed),
      wall: WallTime(milliseconds: 4_000))
    #expect(book.statistics.runTime.sum == 500)
  }

  @Test
  func `a wall clock that was set back makes no wait of it`() throws {
    var book = TaskBook(checkpointsKept: 1)
    let specification = TaskSpecification(name: "t", work: .custom(kind: "work", input: [:]))
    _ = book.submit(TaskBookTests.id, specification, wall: WallTime(milliseconds: .max))
    let ready = book.nextReady(kind: "work", wall: WallTime(milliseconds: .min))
    let task = try #require(ready)
    book.assign(task, to: TaskBookTests.worker, wall: WallTime(milliseconds: .min))
    #expect(book.statistics.queueWait.count == 1)
    #expect(book.statistics.queueWait.sum == 0)
  }

  @Test
  func `a lost attempt counts as lost and not as run; a failed one with retries left as retried`() {
    let lost = TaskBookTests.Fixture(.lost).book.statistics
    #expect(lost.lostAttempts == 1)
    #expect(lost.runTime.count == 0)
    let retrying = TaskBookTests.Fixture(.retrying).book.statistics
    #expect(retrying.retries == 1)
    #expect(retrying.runTime.count == 1)
    #expect(retrying.failed == 0)
  }
}
