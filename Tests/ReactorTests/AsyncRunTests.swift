import Glibc
import Reactor
import TestSupport
import Testing

private struct Oops: Error, Equatable {
  let number: Int
}

private final class WeakLoop: @unchecked Sendable {
  weak var loop: EventLoop?
}

@Suite(.timeLimit(.minutes(5))) struct `running a loop with an async body` {
  @Test func `returns what the body returns, and the loop is released`() throws {
    let reference = WeakLoop()
    let number = try EventLoop.run { loop in
      reference.loop = loop
      loop.schedule(after: .seconds(3600)) {}
      try await loop.sleep(for: .microseconds(1))
      return 42
    }
    #expect(number == 42)
    #expect(reference.loop == nil)
    #expect(EventLoop.current == nil)
  }

  @Test func `rethrows what the body throws`() {
    #expect(throws: Oops(number: 7)) { try EventLoop.run { _ in throw Oops(number: 7) } }
  }

  @Test func `waits for the body's child tasks`() throws {
    let log = EventLog<Int>("children")
    try EventLoop.run { loop in
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<3 {
          group.addTask {
            await Task.yield()
            log.put(number)
          }
        }
      }
    }
    #expect(log.all.sorted() == [0, 1, 2])
  }

  @Test func `cancels the body at the first signal`() throws {
    try EventLoop.run(cancelledBy: [SIGUSR2]) { loop in
      kill(getpid(), SIGUSR2)
      await #expect(throws: CancellationError.self) { try await loop.sleep(for: .seconds(3600)) }
    }
  }

  @Test func `cancels the body when the loop is stopped under it`() throws {
    let error = #expect(throws: SystemError.self) {
      try EventLoop.run { loop in
        loop.stop()
        try await loop.sleep(for: .seconds(3600))
      }
    }
    #expect(error?.code == ECANCELED)
  }

  @Test func `knows the current loop on its thread only`() throws {
    #expect(EventLoop.current == nil)
    try EventLoop.run { loop in
      #expect(EventLoop.current === loop)
      let elsewhere = await Task.detached { EventLoop.current == nil }.value
      #expect(elsewhere)
      #expect(EventLoop.current === loop)
    }
  }
}

@Suite(.timeLimit(.minutes(5))) struct `a loop for the length of a scope` {
  @Test func `returns the body's value once its thread is gone`() async throws {
    let reference = WeakLoop()
    let mailbox = try await withEventLoop(name: "scope") { loop in
      reference.loop = loop
      return loop.mailbox
    }
    #expect(!mailbox.post {})
    #expect(reference.loop == nil)
  }

  @Test func `rethrows the body's error once its thread is gone`() async throws {
    let mailboxes = EventLog<Mailbox>("loops")
    await #expect(throws: Oops(number: 1)) {
      try await withEventLoop { loop in
        mailboxes.put(loop.mailbox)
        throw Oops(number: 1)
      }
    }
    #expect(mailboxes.all.map { $0.post {} } == [false])
  }

  @Test func `is left when the caller is cancelled`() async throws {
    let started = EventLog<Int>("bodies")
    let task = Task {
      try await withEventLoop { loop in
        started.put(1)
        try await loop.sleep(for: .seconds(3600))
      }
    }
    while started.count == 0 { await Task.yield() }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  @Test func `can be nested, each body on its own thread`() async throws {
    try await withEventLoop { outer in
      let outerExecutor = outer.taskExecutor
      try await withEventLoop { inner in
        #expect(inner.isOnLoop)
        #expect(!outerExecutor.isOnLoop)
        #expect(EventLoop.current === inner)
      }
      #expect(outer.isOnLoop)
    }
  }

  @Test func `a thread may be shut down more than once`() async throws {
    let thread = try EventLoopThread(name: "twice") { _ in }
    async let first: Void = thread.shutDown()
    await thread.shutDown()
    await first
    #expect(!thread.mailbox.post {})
  }
}
