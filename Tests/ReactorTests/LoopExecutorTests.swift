import Synchronization
import TestSupport
import Testing

@testable import Reactor

/// Lives on a loop.
private actor Resident {
  private nonisolated let executor: LoopSerialExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  private(set) var seen: [Int] = []

  init(_ executor: LoopSerialExecutor) { self.executor = executor }

  func note(_ number: Int) { seen.append(number) }
  func isOn(_ tasks: LoopTaskExecutor) -> Bool { tasks.isOnLoop }
}

/// Has no executor of its own.
private actor Nomad {
  func isOn(_ tasks: LoopTaskExecutor) -> Bool { tasks.isOnLoop }
}

// Asynchronous tests wait for a thread of the pool, which blocking tests of other suites may hold for a while.
@Suite(.timeLimit(.minutes(5))) struct `a loop as executor` {
  @Test func `keeps a task and its children on its thread through every kind of await`() async throws {
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      #expect(loop.isOnLoop)
      await Task.yield()
      #expect(loop.isOnLoop)
      try await loop.sleep(for: .microseconds(10))
      #expect(loop.isOnLoop)
      let elsewhere = await Task.detached { executor.isOnLoop }.value
      #expect(!elsewhere)
      #expect(loop.isOnLoop)
      #expect(await Nomad().isOn(executor))
      #expect(loop.isOnLoop)
      let onMain = await MainActor.run { executor.isOnLoop }
      #expect(!onMain)
      #expect(loop.isOnLoop)
      async let child = { () async -> Bool in
        let before = executor.isOnLoop
        await Task.yield()
        return before && executor.isOnLoop && EventLoop.current != nil
      }()
      #expect(await child)
      let grandchildren = await withTaskGroup(of: Bool.self, returning: [Bool].self) { group in
        for _ in 0..<10 {
          group.addTask {
            await Task.yield()
            return await withTaskGroup(of: Bool.self) { group in
              group.addTask {
                await Task.yield()
                return executor.isOnLoop
              }
              return await group.next() ?? false
            }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(grandchildren == Array(repeating: true, count: 10))
      #expect(loop.isOnLoop)
    }
  }

  @Test func `resumes tasks in the order in which they became ready`() async throws {
    try await withEventLoop { loop in
      let order = EventLog<Int>("order")
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<1000 { group.addTask { order.put(number) } }
      }
      #expect(order.all == Array(0..<1000))
    }
  }

  @Test func `writes what tasks send in a turn with one call`() async throws {
    try await withEventLoop { loop in
      let pair = try await connectedPair(on: loop)
      await Task.yield()
      let before = loop.writeCalls
      let sender = LoopBound(pair.client, to: loop)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<20 {
          group.addTask {
            sender.value.send("0123456789")
          }
        }
      }
      pair.server.wanted = 200
      await pair.server.arrived()
      #expect(pair.server.received == 200)
      #expect(loop.writeCalls - before == 1)
    }
  }

  @Test func `takes jobs from other threads, each once`() async throws {
    let sum = try await withEventLoop { loop in
      let executor = loop.taskExecutor
      return await withTaskGroup(of: Int.self) { group in
        for number in 0..<2000 {
          group.addTask {
            let value = await Task.detached { number }.value
            #expect(executor.isOnLoop)
            return value
          }
        }
        return await group.reduce(0, +)
      }
    }
    #expect(sum == 1999 * 1000)
  }

  @Test func `is where an actor can live: awaited, or reached from a callback without waiting`() async throws {
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      let resident = Resident(loop.serialExecutor)
      #expect(await resident.isOn(executor))
      #expect(loop.isOnLoop)
      let fromElsewhere = await Task.detached { await resident.isOn(executor) }.value
      #expect(fromElsewhere)
      loop.schedule(after: .zero) {
        resident.assumeIsolated { $0.note(1) }
      }
      try await loop.sleep(for: .milliseconds(1))
      await resident.note(2)
      #expect(await resident.seen == [1, 2])
    }
  }

  @Test func `serves an actor and its other tasks by turns`() async throws {
    let numbers = try await withEventLoop { loop in
      let resident = Resident(loop.serialExecutor)
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<100 { group.addTask { await resident.note(number) } }
      }
      return await resident.seen
    }
    #expect(numbers == Array(0..<100))
  }

  @Test func `lets timers through while tasks keep each other busy`() async throws {
    try await withEventLoop { loop in
      let stop = Atomic(false)
      loop.schedule(after: .milliseconds(5)) { stop.store(true, ordering: .relaxed) }
      let resident = Resident(loop.serialExecutor)
      var hops = 0
      while !stop.load(ordering: .relaxed) {
        await resident.note(0)
        hops += 1
      }
      #expect(hops > 1)
    }
  }

  @Test func `lets a task that outlives it come to its end elsewhere`() async throws {
    let thread = try EventLoopThread(name: "short") { _ in }
    let executor = thread.taskExecutor
    let places = EventLog<Bool>("on the loop")
    let (numbers, feed) = AsyncStream.makeStream(of: Int.self)
    let task = Task(executorPreference: executor) {
      for await _ in numbers { places.put(executor.isOnLoop) }
    }
    feed.yield(1)
    while places.count < 1 { await Task.yield() }
    await thread.shutDown()
    feed.yield(2)
    feed.finish()
    await task.value
    #expect(places.all == [true, false])
    #expect(!executor.isOnLoop)
  }

  @Test func `that goes away without having run leaves its tasks to the pool`() async throws {
    func orphan() throws -> Task<Bool, Never> {
      let loop = try EventLoop()
      let executor = loop.taskExecutor
      return Task(executorPreference: executor) { executor.isOnLoop }
    }
    let task = try orphan()
    #expect(await task.value == false)
  }

  @Test func `an actor outlives it too, one call at a time`() async throws {
    let thread = try EventLoopThread(name: "short") { _ in }
    let made = Exchange<Resident>()
    thread.mailbox.post { loop in made.put(Resident(loop.serialExecutor)) }
    let resident = made.take()
    await resident.note(-1)
    await thread.shutDown()
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<200 { group.addTask { await resident.note(number) } }
    }
    #expect(await resident.seen.count == 201)
  }
}

/// Counts what arrives, and tells a task once it is as much as wanted.
private final class Counter: ConnectionDelegate {
  private(set) var received = 0
  var wanted = 0
  private var continuation: CheckedContinuation<Void, Never>?

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    received += bytes.byteCount
    tellIfArrived()
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {}

  nonisolated(nonsending) func arrived() async {
    await withCheckedContinuation { continuation in
      self.continuation = continuation
      tellIfArrived()
    }
  }

  private func tellIfArrived() {
    guard wanted > 0, received >= wanted else { return }
    continuation.take()?.resume()
  }
}

private struct CountedPair {
  let client: Connection
  let server: Counter
}

private nonisolated(nonsending) func connectedPair(on loop: EventLoop) async throws -> CountedPair {
  let counter = Counter()
  let listener = try Listener.listen(at: .loopback(), on: loop) { $0.delegate = counter }
  let client = try await withCheckedThrowingContinuation {
    (continuation: CheckedContinuation<LoopBound<Connection>, any Error>) in
    Connection.connect(to: listener.localAddress, on: loop) { result in
      continuation.resume(
        with: result.map { connection in
          connection.delegate = Recorder()
          return LoopBound(connection, to: loop)
        }.mapError { $0 })
    }
  }
  listener.close()
  return CountedPair(client: client.value, server: counter)
}
