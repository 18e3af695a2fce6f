import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(5))) struct `sleeping on a loop` {
  @Test(arguments: [Duration.milliseconds(3), .zero, .seconds(-1)])
  func `ends after the duration, on the loop, and not before`(duration: Duration) async throws {
    try await withEventLoop { loop in
      let start = MonotonicClock.now()
      try await loop.sleep(for: duration)
      #expect(MonotonicClock.now() - start >= duration)
      #expect(loop.isOnLoop)
    }
  }

  @Test func `is possible from a task that is elsewhere`() async throws {
    let thread = try EventLoopThread(name: "timers") { _ in }
    try await thread.taskExecutor.sleep(for: .milliseconds(1))
    #expect(!thread.taskExecutor.isOnLoop)
    await thread.shutDown()
  }

  @Test func `ends at once when the task is cancelled, before or during it`() async throws {
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      let started = EventLog<Int>("sleepers")
      let sleeper = Task(executorPreference: executor) {
        started.put(1)
        try await executor.sleep(for: .seconds(3600))
      }
      while started.count == 0 { await Task.yield() }
      sleeper.cancel()
      await #expect(throws: CancellationError.self) { try await sleeper.value }
      #expect(loop.timers.count == 0)
      #expect(loop.connections.count == 0)

      let cancelled = Task(executorPreference: executor) {
        withUnsafeCurrentTask { $0?.cancel() }
        try await executor.sleep(for: .seconds(3600))
      }
      await #expect(throws: CancellationError.self) { try await cancelled.value }
      #expect(loop.timers.count == 0)
    }
  }

  @Test func `ends with an error when the loop ends`() async throws {
    let thread = try EventLoopThread(name: "timers") { _ in }
    let executor = thread.taskExecutor
    let started = EventLog<Int>("sleepers")
    let sleeper = Task(executorPreference: executor) {
      started.put(1)
      try await executor.sleep(for: .seconds(3600))
    }
    while started.count == 0 { await Task.yield() }
    await thread.shutDown()
    let error = await #expect(throws: SystemError.self) { try await sleeper.value }
    #expect(error?.code == ECANCELED)
    let late = await #expect(throws: SystemError.self) { try await executor.sleep(for: .zero) }
    #expect(late?.code == ECANCELED)
  }
}
