import ArgumentParsing
import CAllocationCounter
import CoordinationCore
import Glibc
import LifelineBenchmarks
import Terminal

/// Measures, and prints a table: `bench --filter frame --repeats 9`.
@main struct Program {
  private static let filter = Option(
    "filter", optional: .string, as: "TEXT", "Only operations whose name contains this.")
  private static let json = Option(flag: "json", "Print JSON for programs instead of a table.")
  private static let quick = Option(flag: "quick", "Do a tenth of the work: a first impression.")
  private static let repeats = Option("repeats", .integer(1...1_000), default: 5, "How often each is run.")
  private static let list = Option(flag: "list", "Print the operations' names and measure nothing.")

  private static let allocationFree = Option(
    flag: "allocation-free", "End with status 1 if any of them allocates; an unoptimised build does.")

  private static let command = Command(
    "bench", "measures what Lifeline's layers cost", options: [filter, repeats, quick, json, allocationFree, list])

  static func main() {
    DescriptorWriter.ignoreBrokenPipeSignal()
    do throws(UsageError) {
      let parser = ArgumentParser(command, version: "of this working copy")
      switch try parser.parse(Array(CommandLine.arguments.dropFirst())) {
      case .help(let page): say([page.text(columns: TerminalDevice.columns(STDOUT_FILENO) ?? 80)])
      case .version(let text): say([text])
      case .run(let invocation): run(invocation)
      }
    } catch {
      fail("\(error)", status: UsageError.exitStatus)
    }
  }

  private static func run(_ invocation: Invocation) {
    let filter = invocation[Self.filter]
    let chosen = Benchmark.all.filter { benchmark in filter.map { benchmark.name.contains($0) } ?? true }
    guard !chosen.isEmpty else {
      return fail("bench: no operation's name contains '\(filter ?? "")'; see bench --list", status: 2)
    }
    if invocation[list] { return say(chosen.map(\.name)) }
    let counter = lifeline_allocations_are_counted() ? AllocationCounter(read: { allocations(of: $0) }) : .none
    let repeats = invocation[Self.repeats]
    let showsProgress = TerminalDevice.isTerminal(STDERR_FILENO)
    do {
      let measurements = try Measurement.take(
        chosen, repeats: repeats, at: invocation[quick] ? .quick : .full, counting: counter
      ) { round in
        if showsProgress { _ = DescriptorWriter.standardError.write("\rround \(round) of \(repeats)\u{1B}[K") }
      }
      if showsProgress { _ = DescriptorWriter.standardError.write("\r\u{1B}[K") }
      let report = Report(.current, measurements)
      say(invocation[json] ? [report.json.text] : report.lines(width: nil))
      if invocation[allocationFree] { requireNoAllocations(measurements) }
    } catch {
      fail("bench: \(error)", status: 1)
    }
  }

  private static func requireNoAllocations(_ measurements: [Measurement]) {
    let allocating = measurements.filter { $0.allocations != 0 }
    // Not among the JSON.
    sayAside("\(measurements.count - allocating.count) passed, \(allocating.count) failed")
    guard !allocating.isEmpty else { return }
    let names = allocating.map { "\($0.benchmark.name): \($0.allocations.map { "\($0)" } ?? "not counted")" }
    fail("bench: these allocate: \(names.joined(separator: "; "))", status: 1)
  }

  private static func allocations(of scope: AllocationScope) -> UInt64 {
    switch scope {
    case .thread: lifeline_allocations_of_thread()
    case .process: lifeline_allocations_of_process()
    }
  }

  private static func say(_ lines: [String]) {
    _ = DescriptorWriter.standardOutput.write(lines.map { $0 + "\n" }.joined())
  }

  private static func sayAside(_ line: String) { _ = DescriptorWriter.standardError.write(line + "\n") }

  private static func fail(_ text: String, status: Int32) {
    _ = DescriptorWriter.standardError.write(text + "\n")
    exit(status)
  }
}
