import ExampleSupport
import Glibc
import Reactor

/// Ticks; a hangup starts the count anew, and silence from the user for a while ends the program.
@main struct TimersAndSignals {
  static func main() {
    let arguments = ExampleProgram.arguments
    guard arguments.count == 2, let tick = Int(arguments[0]), let patience = Int(arguments[1]), tick > 0, patience > 0
    else {
      ExampleProgram.usage("example-timers-and-signals TICK-MS PATIENCE-MS")
    }
    ExampleProgram.run {
      let loop = try EventLoop()
      let ticker = Ticker(every: .milliseconds(tick), on: loop)
      // Starting an active timer again only stores the later deadline: cheap enough for every message of a connection.
      let idle = loop.makeTimer {
        ExampleProgram.say("nobody cares")
        loop.stop()
      }
      idle.start(after: .milliseconds(patience))
      try loop.onSignal(SIGHUP) {
        ticker.reset()
        idle.start(after: .milliseconds(patience))
        ExampleProgram.say("reset")
      }
      for signal in [SIGINT, SIGTERM] {
        try loop.onSignal(signal) {
          ExampleProgram.say("stopped after \(ticker.count) ticks")
          loop.stop()
        }
      }
      ExampleProgram.say("pid \(getpid())")
      ticker.start()
      loop.run()
    }
  }
}

final class Ticker {
  private(set) var count = 0
  private let interval: Duration
  private let loop: EventLoop
  private var timer: Timer?

  init(every interval: Duration, on loop: EventLoop) {
    self.interval = interval
    self.loop = loop
  }

  func start() {
    timer = loop.makeTimer { [unowned self] in
      count += 1
      ExampleProgram.say("tick \(count)")
      timer?.start(after: interval)
    }
    timer?.start(after: interval)
  }

  func reset() {
    count = 0
    timer?.start(after: interval)
  }
}
