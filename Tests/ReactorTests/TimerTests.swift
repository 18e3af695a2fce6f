import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct `a timer` {
  @Test func `fires in the order of the deadlines, never early`() throws {
    var fired: [Int] = []
    try withLoop { loop in
      let start = MonotonicClock.now()
      for wait in [30, 10, 20, 0, 40] {
        loop.schedule(after: .milliseconds(wait)) {
          fired.append(wait)
          #expect(MonotonicClock.now() - start >= .milliseconds(wait))
          if wait == 40 { loop.stop() }
        }
      }
    }
    #expect(fired == [0, 10, 20, 30, 40])
  }

  @Test func `is not called after cancel, and can be started again`() throws {
    var calls = 0
    try withLoop { loop in
      let timer = loop.makeTimer { calls += 1 }
      #expect(!timer.isActive)
      timer.start(after: .milliseconds(1))
      #expect(timer.isActive)
      timer.cancel()
      timer.cancel()
      #expect(!timer.isActive)
      loop.schedule(after: .milliseconds(20)) {
        #expect(calls == 0)
        timer.start(after: .milliseconds(1))
        loop.schedule(after: .milliseconds(20)) { loop.stop() }
      }
    }
    #expect(calls == 1)
  }

  @Test func `moves its deadline later and earlier, and fires once`() throws {
    var later: [Duration] = []
    var earlier: [Duration] = []
    try withLoop { loop in
      let start = MonotonicClock.now()
      let late = loop.makeTimer { later.append(MonotonicClock.now() - start) }
      late.start(after: .milliseconds(5))
      for _ in 0..<100 { late.start(after: .milliseconds(60)) }
      let early = loop.makeTimer { earlier.append(MonotonicClock.now() - start) }
      early.start(after: .seconds(9))
      early.start(after: .milliseconds(5))
      loop.schedule(after: .milliseconds(90)) { loop.stop() }
    }
    #expect(later.count == 1)
    #expect(later.allSatisfy { $0 >= .milliseconds(60) })
    #expect(earlier.count == 1)
    #expect(earlier.allSatisfy { $0 < .seconds(5) })
  }

  @Test func `restarts itself from its own body`() throws {
    var calls = 0
    try withLoop { loop in
      var timer: Timer?
      timer = loop.makeTimer {
        calls += 1
        if calls < 5 { return timer?.start(after: .milliseconds(1)) ?? () }
        timer = nil
        loop.stop()
      }
      timer?.start(after: .zero)
    }
    #expect(calls == 5)
  }

  @Test func `keeps itself alive while active and is released after it fired`() throws {
    weak var dropped: Timer?
    var called = false
    try withLoop { loop in
      dropped = loop.schedule(after: .milliseconds(1)) { called = true }
      #expect(dropped != nil)
      loop.schedule(after: .milliseconds(20)) {
        #expect(called)
        #expect(dropped == nil)
        loop.stop()
      }
    }
  }

  @Test func `takes absurd durations without trapping`() throws {
    try withLoop { loop in
      let forever = loop.schedule(after: .seconds(Int64.max)) { Issue.record("centuries early") }
      var negative = false
      loop.schedule(after: .seconds(-5)) { negative = true }
      loop.schedule(after: .milliseconds(10)) {
        #expect(negative)
        #expect(forever.isActive)
        loop.stop()
      }
    }
  }
}
