import Terminal
import Testing

@Suite struct ProgressTests {
  let halfway = Progress(done: 50, failed: 3, running: 5, total: 100, elapsed: .seconds(20))

  @Test func `the summary names what there is and leaves out what there is not`() {
    #expect(halfway.summary(unit: "tasks") == "50/100 tasks, 3 failed, 5 running, 2.5/s")
    #expect(Progress(done: 0, total: 7, elapsed: .zero).summary(unit: "tasks") == "0/7 tasks, 0.0/s")
    #expect(Progress(done: 5000, total: 9000, elapsed: .seconds(10)).summary(unit: "x") == "5000/9000 x, 500/s")
  }

  @Test func `the bar fills the room that the numbers leave`() {
    #expect(
      halfway.line(unit: "tasks", columns: 75)
        == "[##########-----------] 50/100 tasks, 3 failed, 5 running, 2.5/s, 20 s left")
    #expect(halfway.line(unit: "tasks", columns: 60) == "50/100 tasks, 3 failed, 5 running, 2.5/s, 20 s left")
    #expect(halfway.line(unit: "tasks", columns: 20) == "50/100 tasks, 3 fai…")
  }

  @Test func `with colours the bar is a line, red once something has failed`() {
    let style = TextStyle(isEnabled: true)
    let good = Progress(done: 5, total: 10, elapsed: .seconds(1), share: 0.25)
    #expect(
      good.line(unit: "x", columns: 42, style: style)
        == "\u{1B}[32m━━━━\u{1B}[0m\u{1B}[2m────────────\u{1B}[0m 5/10 x, 5.0/s, 3 s left")
    #expect(halfway.line(unit: "x", columns: 75, style: style).hasPrefix("\u{1B}[31m━"))
  }

  @Test(arguments: [(0.0, nil), (1, nil), (0.5, 20), (0.25, 60), (.nan, nil), (-1, nil), (2, nil)] as [(Double, Int?)])
  func `the share of the work decides about the time left`(share: Double, seconds: Int?) {
    let progress = Progress(done: 1, total: 1_000, elapsed: .seconds(20), share: share)
    #expect(progress.remaining == seconds.map { .seconds($0) })
    #expect(!progress.line(unit: "x", columns: 100).isEmpty)
  }

  @Test(arguments: 0...200)
  func `the line never exceeds the terminal`(columns: Int) {
    #expect(halfway.line(unit: "tasks", columns: columns).displayColumns <= columns)
  }

  @Test(arguments: [(0, 0), (5, 0), (150, 100), (-1, 100), (Int.max, 1), (1, Int.max)])
  func `impossible counts do no harm`(done: Int, total: Int) {
    for elapsed in [Duration.zero, .nanoseconds(1), .seconds(-1), .seconds(Int64.max)] {
      #expect(!Progress(done: done, total: total, elapsed: elapsed).line(unit: "x", columns: 100).isEmpty)
    }
  }

  @Test func `the time left is given in its two largest units`() {
    func left(_ total: Int) -> String {
      Progress(done: 1, total: total, elapsed: .seconds(1)).line(unit: "x", columns: 200)
    }
    #expect(left(46).hasSuffix(", 45 s left"))
    #expect(left(126).hasSuffix(", 2 min 5 s left"))
    #expect(left(10_801).hasSuffix(", 3 h 0 min left"))
    #expect(left(1).hasSuffix("1.0/s"))
  }
}

@Suite struct ProgressLineTests {
  func progress(_ done: Int, after milliseconds: Int) -> Progress {
    Progress(done: done, total: 10, elapsed: .milliseconds(milliseconds))
  }

  @Test func `on a terminal one line is rewritten, no faster than people read`() {
    var line = ProgressLine(isTerminal: true, unit: "tasks")
    #expect(line.update(progress(0, after: 0), columns: 30) == .live("[---------] 0/10 tasks, 0.0/s"))
    #expect(line.update(progress(1, after: 50), columns: 30) == nil)
    #expect(line.update(progress(1, after: 100), columns: 30) == .live("1/10 tasks, 10.0/s, 1 s left"))
  }

  @Test func `in a pipe a line is written now and then, if something has changed`() {
    var line = ProgressLine(isTerminal: false, unit: "tasks")
    #expect(line.update(progress(1, after: 1000), columns: 80) == nil)
    #expect(line.update(progress(2, after: 5000), columns: 80) == .line("2/10 tasks, 0.4/s"))
    #expect(line.update(progress(3, after: 9000), columns: 80) == nil)
    #expect(line.update(progress(2, after: 11_000), columns: 80) == nil)
    #expect(line.update(progress(3, after: 11_000), columns: 80) == .line("3/10 tasks, 0.3/s"))
  }
}
