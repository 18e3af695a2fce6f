import ArgumentParsing
import CoordinationCore
import FaultProxy
import Glibc
import Primitives
import Reactor

/// `lifeline proxy`
enum ProxyCommand: Subcommand {
  private static let target = Option(
    required: "to", .string, as: "HOST:PORT", "Where connections go on to.")
  private static let listen = Option(
    "listen", .string, default: "127.0.0.1:0", as: "HOST:PORT", "Where to listen; port 0 takes a free one.")
  private static let control = Option(
    "control", optional: .string, as: "ADDRESS",
    "Also take commands here: HOST:PORT, or unix:PATH. There is no authentication.")
  private static let up = Option(
    "up", optional: .string, as: "SETTINGS", "Faults towards the target from the start: latency=100ms,jitter=20ms")
  private static let down = Option("down", optional: .string, as: "SETTINGS", "Faults from the target from the start.")
  private static let schedule = Option(
    "schedule", optional: .string, as: "FILE", "Lines of a time and a command: 2.5s up latency=200ms")
  private static let seed = Option(
    "seed", optional: .integer(0...Int.max), as: "N",
    "Draw faults from this seed, one in each disruption interval; also what is corrupted follows from it.")
  private static let interval = Option(
    "disruption-interval", .duration(.milliseconds(10) ... .seconds(86_400)), default: .seconds(30),
    "With --seed: how often a fault begins; it lasts for half of this at most.")

  static let command = ArgumentParsing.Command(
    "proxy", "stands between two ends of TCP and breaks things on request",
    details: [
      "The first line on standard output says where it listens. Commands are read from standard input, one a line, and each "
        + "is answered by a line of JSON on standard output.",
      "Commands: [up|down|both] SETTING…, [up|down|both] flow|hold|drop|clear, cut, cut up after=BYTES, blackhole on|off, "
        + "refuse on|off, stall on|off, half-open near|far, heal, show.",
      "Settings: latency, jitter, pause, close-delay (times); bandwidth (bytes a second), slice, limit (bytes, KiB, MiB); "
        + "corrupt (one byte in so many); ending (close, reset); delivery (flowing, held, dropped). The word off resets one.",
    ],
    options: [target, listen, control],
    sections: [OptionSection("Faults", [up, down, schedule, seed, interval])],
    examples: [
      Example("lifeline proxy --to localhost:8765", "Relay to a coordinator, and wait for commands."),
      Example(
        "lifeline proxy --to localhost:8765 --up latency=100ms,jitter=20ms --down bandwidth=64KiB",
        "A slow line, in its own way for each direction."),
      Example(
        "lifeline proxy --to localhost:8765 --seed 7 --disruption-interval 10",
        "A fault every 10 seconds, the same ones each time."),
      Example(
        "lifeline proxy --to localhost:8765 --control unix:/tmp/proxy.sock",
        "Take commands from: lifeline proxy-control unix:/tmp/proxy.sock both hold"),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    for (option, text) in [("--to", invocation[target]), ("--listen", invocation[listen])]
    where ProxyProcess.hostAndPort(text) == nil {
      throw invocation.error("\(option) \(text): expected HOST:PORT, such as localhost:8765")
    }
    if let text = invocation[control], ProxyProcess.controlAddress(text) == nil {
      throw invocation.error(
        "--control \(text): expected unix:PATH, or an IP address and a port such as 127.0.0.1:0")
    }
    let plan: ProxyPlan
    var scheduled: String?
    if let path = invocation[schedule] {
      guard let bytes = ScheduleFile.read(path) else { throw invocation.error("--schedule: \(path) cannot be read") }
      scheduled = String(decoding: bytes, as: UTF8.self)
    }
    do throws(FaultCommand.Problem) {
      var commands: [FaultCommand] = []
      for (direction, text) in [("up", invocation[up]), ("down", invocation[down])] {
        if let text { commands.append(try FaultCommand("\(direction) \(text)")) }
      }
      let entries = try FaultSchedule(text: scheduled ?? "").entries
      plan = ProxyPlan(
        commands: commands, entries: entries, seed: invocation[seed].map { UInt64($0) }, interval: invocation[interval])
    } catch { throw invocation.error("\(error)") }
    do {
      return try ProxyProcess(
        plan, target: invocation[target], listen: invocation[listen], control: invocation[control]
      ).run()
    } catch {
      Console.standard.complain("lifeline proxy: \(error)")
      return 1
    }
  }
}

/// What a proxy does by itself.
struct ProxyPlan {
  var commands: [FaultCommand]
  var entries: [FaultSchedule.Entry]
  var seed: UInt64?
  var interval: Duration
}

private enum ScheduleFile {
  static func read(_ path: String) -> [UInt8]? {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return StandardInput.read(from: descriptor, maxBytes: 1 << 20)
  }
}
