import ExampleSupport
import Glibc
import Reactor

/// Runs a command until it succeeds, and passes its output on; each failure doubles the pause before the next try.
final class Supervisor {
  private let loop: EventLoop
  private let command: [String]
  private let maxFailures: Int
  private var child: ChildProcess?
  private var retry: Timer?
  private var failures = 0
  private var isStopping = false
  private(set) var succeeded = false

  init(_ command: [String], maxFailures: Int, on loop: EventLoop) {
    self.command = command
    self.maxFailures = maxFailures
    self.loop = loop
  }

  func start() {
    var configuration = ChildProcess.Configuration(executable: command[0], arguments: Array(command.dropFirst()))
    configuration.standardOutput = lines()
    configuration.standardError = lines()
    do throws(SystemError) {
      let child = try ChildProcess.spawn(configuration, on: loop) { [self] status in ended(status) }
      self.child = child
      ExampleProgram.say("started, pid \(child.pid)")
    } catch {
      // A program that is not there will not be there the next time either.
      ExampleProgram.say("\(error)")
      loop.stop()
    }
  }

  /// Ends the child and what it started, then the loop.
  func stop() {
    isStopping = true
    retry?.cancel()
    guard let child, child.exitStatus == nil else { return loop.stop() }
    child.signalGroup(SIGTERM)
    // Whoever ignores SIGTERM has had its chance.
    loop.schedule(after: .seconds(5)) { child.signalGroup(SIGKILL) }
  }

  private func ended(_ status: ExitStatus) {
    // Its group may have other processes, which nobody would watch any more.
    child?.signalGroup(SIGKILL)
    ExampleProgram.say("ended, \(status)")
    succeeded = status == .exited(0)
    if succeeded || isStopping { return loop.stop() }
    failures += 1
    guard failures < maxFailures else {
      ExampleProgram.say("giving up after \(failures) failures")
      return loop.stop()
    }
    retry = loop.schedule(after: .milliseconds(50 << min(failures - 1, 8))) { [self] in start() }
  }

  /// Passes on whole lines; the bytes that come are cut anywhere.
  private func lines() -> ChildProcess.Output {
    var rest: [UInt8] = []
    return .pipe(
      onBytes: { bytes in
        rest += bytes.withUnsafeBytes { Array($0) }
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
          ExampleProgram.say("| \(String(decoding: rest[..<newline], as: UTF8.self))")
          rest.removeSubrange(...newline)
        }
      },
      onEnd: {
        if !rest.isEmpty { ExampleProgram.say("| \(String(decoding: rest, as: UTF8.self))") }
      })
  }
}

@main struct Program {
  static func main() {
    let arguments = ExampleProgram.arguments
    guard arguments.count > 1, let maxFailures = Int(arguments[0]), maxFailures > 0 else {
      ExampleProgram.usage("example-supervisor MAX-FAILURES COMMAND [ARGUMENT…]")
    }
    ExampleProgram.run {
      let loop = try EventLoop()
      let supervisor = Supervisor(Array(arguments.dropFirst()), maxFailures: maxFailures, on: loop)
      for signal in [SIGINT, SIGTERM] { try loop.onSignal(signal) { supervisor.stop() } }
      supervisor.start()
      loop.run()
      if !supervisor.succeeded { exit(1) }
    }
  }
}
