import Primitives
import Reactor

let loopBenchmarks: [Benchmark] = [
  // A letter that posts the next one: each is opened in a turn of its own.
  Benchmark("loop turn, one letter", operations: 200_000) { operations, meter in
    let loop = try EventLoop()
    let relay = Relay(turns: operations, loop, meter)
    relay.begin()
    loop.run()
    return UInt64(relay.turns)
  },
  Benchmark("timer moved later, 100,000 active", operations: 2_000_000) { operations, meter in
    try moveTimers(operations, meter) { _, _ in .seconds(7_200) }
  },
  Benchmark("timer moved earlier, 100,000 active", operations: 400_000) { operations, meter in
    // Each pass over the timers halves what is left, so every start finds the deadline too late.
    try moveTimers(operations, meter) { pass, random in
      .milliseconds(3_600_000 >> min(pass + 1, 12)) + .milliseconds(Int64(random.next() % 1_000))
    }
  },
  Benchmark("mailbox post, same thread, batch of 1,000", operations: 1_000_000) { operations, meter in
    let loop = try EventLoop()
    let counter = LoopBound(Tally(), to: loop)
    let batches = Batches(rest: operations, loop, counter, meter)
    batches.begin()
    loop.run()
    return UInt64(counter.value.count)
  },
  Benchmark("mailbox round trip between two threads", operations: 20_000, scope: .process) { operations, meter in
    let loop = try EventLoop()
    let other = try EventLoopThread(name: "far end") { _ in }
    let volley = Volley(operations, loop, other.mailbox, meter)
    volley.begin()
    loop.run()
    other.stop()
    other.join()
    return UInt64(volley.returned)
  },
]

private func moveTimers(
  _ operations: Int, _ meter: Meter, _ wait: (_ pass: Int, inout SeededGenerator) -> Duration
) throws -> UInt64 {
  let count = min(operations, 100_000)
  let loop = try EventLoop()
  var random = SeededGenerator(seed: 1)
  let timers = (0..<count).map { _ in loop.makeTimer {} }
  for timer in timers { timer.start(after: .seconds(3_600) + .milliseconds(Int64(random.next() % 60_000))) }
  meter.start()
  for operation in 0..<operations {
    timers[operation % count].start(after: wait(operation / count, &random))
  }
  meter.stop()
  let active = timers.count { $0.isActive }
  for timer in timers { timer.cancel() }
  return UInt64(active)
}

private final class Relay {
  private(set) var turns = 0
  private let last: Int
  private let loop: EventLoop
  private let meter: Meter

  init(turns: Int, _ loop: EventLoop, _ meter: Meter) {
    last = turns
    self.loop = loop
    self.meter = meter
  }

  func begin() {
    let me = LoopBound(self, to: loop)
    loop.mailbox.post {
      me.value.meter.start()
      me.value.pass(me)
    }
  }

  private func pass(_ me: LoopBound<Relay>) {
    guard turns < last else {
      meter.stop()
      return loop.stop()
    }
    turns += 1
    loop.mailbox.post { me.value.pass(me) }
  }
}

private final class Tally {
  var count = 0
}

private final class Batches {
  private var rest: Int
  private let loop: EventLoop
  private let counter: LoopBound<Tally>
  private let meter: Meter

  init(rest: Int, _ loop: EventLoop, _ counter: LoopBound<Tally>, _ meter: Meter) {
    self.rest = rest
    self.loop = loop
    self.counter = counter
    self.meter = meter
  }

  func begin() {
    let me = LoopBound(self, to: loop)
    loop.mailbox.post {
      me.value.meter.start()
      me.value.next(me)
    }
  }

  private func next(_ me: LoopBound<Batches>) {
    guard rest > 0 else {
      meter.stop()
      return loop.stop()
    }
    let size = min(rest, 1_000)
    rest -= size
    let counter = self.counter
    for _ in 1..<size { loop.mailbox.post { counter.value.count += 1 } }
    loop.mailbox.post {
      counter.value.count += 1
      me.value.next(me)
    }
  }
}

private final class Volley {
  private(set) var returned = 0
  private let last: Int
  private let loop: EventLoop
  private let far: Mailbox
  private let meter: Meter

  init(_ last: Int, _ loop: EventLoop, _ far: Mailbox, _ meter: Meter) {
    self.last = last
    self.loop = loop
    self.far = far
    self.meter = meter
  }

  func begin() {
    let me = LoopBound(self, to: loop)
    loop.mailbox.post {
      me.value.meter.start()
      me.value.serve(me)
    }
  }

  private func serve(_ me: LoopBound<Volley>) {
    let near = loop.mailbox
    far.post { near.post { me.value.back(me) } }
  }

  private func back(_ me: LoopBound<Volley>) {
    returned += 1
    guard returned < last else {
      meter.stop()
      return loop.stop()
    }
    serve(me)
  }
}
