import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct `an event loop` {
  @Test func `reads the time once per turn`() throws {
    try withLoop { loop in
      loop.schedule(after: .zero) {
        let first = loop.now
        let real = MonotonicClock.now()
        while MonotonicClock.now() - real < .milliseconds(2) {}
        #expect(loop.now == first)
        loop.schedule(after: .zero) {
          #expect(loop.now > first)
          loop.stop()
        }
      }
    }
  }

  @Test func `runs afterTurn bodies once, after the turn's callbacks, in order`() throws {
    var log: [String] = []
    try withLoop { loop in
      loop.schedule(after: .zero) {
        loop.afterTurn {
          log.append("after 1")
          loop.afterTurn { log.append("nested") }
        }
        loop.afterTurn { log.append("after 2") }
        log.append("turn")
      }
      loop.schedule(after: .milliseconds(10)) { loop.stop() }
    }
    #expect(log == ["turn", "after 1", "after 2", "nested"])
  }

  @Test func `lets timers through while afterTurn bodies keep adding others`() throws {
    var rounds = 0
    try withLoop { loop in
      func again() {
        rounds += 1
        loop.afterTurn { again() }
      }
      again()
      loop.schedule(after: .milliseconds(10)) { loop.stop() }
    }
    #expect(rounds > 16)
  }

  @Test func `can be stopped before it runs`() throws {
    let loop = try EventLoop()
    loop.stop()
    loop.run()
    #expect(!loop.mailbox.post {})
  }

  @Test func `delivers a signal to the loop that owns it and refuses a second owner`() throws {
    try withLoop { loop in
      var received = 0
      let watcher = try loop.onSignal(SIGUSR1) {
        received += 1
        loop.stop()
      }
      let other = try EventLoop()
      let refusal = #expect(throws: SystemError.self) { try other.onSignal(SIGUSR1) {} }
      #expect(refusal?.code == EBUSY)
      #expect(refusal?.description.contains("SIGUSR1") ?? false)
      #expect(throws: SystemError.self) { try other.onSignal(SIGKILL) {} }
      kill(getpid(), SIGUSR1)
      loop.afterTurn { #expect(received == 0) }
      loop.schedule(after: .seconds(5)) { watcher.cancel() }
    }
    let next = try EventLoop()
    let watcher = try next.onSignal(SIGUSR1) {}
    watcher.cancel()
    watcher.cancel()
  }

  @Test func `names a loop thread and reports that its loop ended`() throws {
    let ran = Exchange<Bool>()
    let thread = try EventLoopThread(name: "a name longer than fifteen bytes") { loop in ran.put(loop.isOnLoop) }
    #expect(ran.take())
    thread.stop()
    thread.join()
    thread.join()
    #expect(!thread.mailbox.post {})
  }

  @Test func `is released when nothing refers to it any more`() throws {
    weak var released: EventLoop?
    do {
      let loop = try EventLoop()
      released = loop
      loop.schedule(after: .seconds(100)) {}
      loop.schedule(after: .zero) { loop.stop() }
      loop.run()
    }
    #expect(released == nil)
  }
}
