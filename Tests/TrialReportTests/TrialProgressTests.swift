import Primitives
import Terminal
import Testing
import TrialReport

@Suite struct TrialProgressTests {
  var progress: TrialProgress {
    TrialProgress(
      name: "coordinator_kill9", elapsed: .seconds(23), total: .seconds(60), connectedWorkers: 4, workers: 5,
      reconnections: 12, endedTasks: 120, runningTasks: 8, queuedTasks: 172, tasks: 300, faults: 3,
      fault: "coordinator killed (SIGKILL)")
  }

  @Test func `the block says where the run stands`() {
    #expect(
      progress.lines(columns: 60, style: .plain) == [
        "coordinator_kill9  [#########----------------]  0:23 of 1:00",
        "workers  4 of 5 connected, 12 reconnections",
        "tasks    120 of 300 ended, 8 running, 172 queued",
        "faults   3, now: coordinator killed (SIGKILL)",
      ])
  }

  @Test func `without a fault nothing goes on now`() {
    var progress = progress
    progress.fault = nil
    #expect(progress.lines(columns: 60, style: .plain).last == "faults   3")
    #expect(progress.summary.hasSuffix("3 faults"))
  }

  @Test(arguments: 0...120)
  func `no line exceeds the terminal`(columns: Int) {
    for line in progress.lines(columns: columns, style: .plain) { #expect(line.displayColumns <= columns) }
  }

  @Test func `colours do not change what is cut`() {
    let style = TextStyle(isEnabled: true)
    let styled = progress.lines(columns: 30, style: style).joined()
    let plain = styled.replacing("\u{1B}[0m", with: "").split(separator: "\u{1B}[", omittingEmptySubsequences: false)
    let text = plain.enumerated().map { $0 == 0 ? String($1) : String($1.drop { $0 != "m" }.dropFirst()) }.joined()
    #expect(text == progress.lines(columns: 30, style: .plain).joined())
    #expect(styled.contains("\u{1B}[33m"))
  }

  @Test func `a fault's text cannot move the cursor`() {
    var progress = progress
    progress.fault = "a\u{1B}[2Jb\nc"
    #expect(progress.lines(columns: 80, style: .plain).last == #"faults   3, now: a\u{1b}[2Jb\nc"#)
    #expect(!progress.summary.contains("\n"))
  }

  @Test func `impossible times do no harm`() {
    var progress = progress
    for (elapsed, total) in [(Duration.seconds(-5), Duration.zero), (.seconds(Int64.max), .seconds(1)), (.zero, .zero)]
    {
      (progress.elapsed, progress.total) = (elapsed, total)
      #expect(progress.lines(columns: 80, style: .plain).count == 4)
    }
  }
}

@Suite struct TrialProgressDisplayTests {
  func progress(_ milliseconds: Int, fault: String? = nil) -> TrialProgress {
    TrialProgress(name: "x", elapsed: .milliseconds(milliseconds), total: .seconds(60), workers: 2, fault: fault)
  }

  @Test func `on a terminal the block is rewritten no faster than people read, but at once for a fault`() {
    var display = TrialProgressDisplay(isTerminal: true, environment: ["NO_COLOR": "1"])
    let block = progress(0).lines(columns: 79, style: .plain).joined(separator: "\n")
    #expect(display.update(progress(0), columns: 80) == .live(block))
    #expect(display.update(progress(50), columns: 80) == nil)
    #expect(display.update(progress(60, fault: "reset"), columns: 80) != nil)
    #expect(display.update(progress(70, fault: "reset"), columns: 80) == nil)
    #expect(display.update(progress(160, fault: "reset"), columns: 80) != nil)
  }

  @Test func `elsewhere a line is written each ten seconds`() {
    var display = TrialProgressDisplay(isTerminal: false, environment: [:])
    #expect(display.update(progress(0), columns: 80) == nil)
    #expect(display.update(progress(9_999, fault: "reset"), columns: 80) == nil)
    #expect(display.update(progress(10_000), columns: 80) == .line(progress(10_000).summary))
    #expect(display.update(progress(19_000), columns: 80) == nil)
    #expect(display.update(progress(20_000), columns: 80) == .line(progress(20_000).summary))
  }

  @Test func `a terminal that cannot rewrite gets lines`() {
    var display = TrialProgressDisplay(isTerminal: true, environment: ["TERM": "dumb"])
    #expect(display.update(progress(10_000), columns: 80) == .line(progress(10_000).summary))
  }

  @Test func `colours are left out where they are not wanted`() {
    var plain = TrialProgressDisplay(isTerminal: true, environment: ["NO_COLOR": "1"])
    var coloured = TrialProgressDisplay(isTerminal: true, environment: [:])
    #expect(plain.update(progress(0), columns: 80) != coloured.update(progress(0), columns: 80))
  }
}
