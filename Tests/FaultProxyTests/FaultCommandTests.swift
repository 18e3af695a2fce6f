import FaultProxy
import Primitives
import Testing

@Suite struct FaultCommandTests {
  @Test func `commands are read as they are meant`() throws {
    let both = FaultDirection.allCases
    let rows: [(String, FaultCommand)] = [
      ("up latency=100ms jitter=20ms", .set([.up], [.latency(.milliseconds(100)), .jitter(.milliseconds(20))])),
      ("up latency=100ms,jitter=0.5", .set([.up], [.latency(.milliseconds(100)), .jitter(.milliseconds(500))])),
      ("bandwidth=64KiB", .set(both, [.bandwidth(65_536)])), ("both bandwidth=off", .set(both, [.bandwidth(nil)])),
      ("down slice=3 pause=1ms", .set([.down], [.slice(3), .pause(.milliseconds(1))])),
      ("corrupt=1000", .set(both, [.corrupt(1_000)])),
      ("limit=2MiB ending=reset", .set(both, [.limit(2 << 20), .ending(.reset)])),
      ("up delivery=held", .set([.up], [.delivery(.held)])), ("close-delay=2s", .set(both, [.closeDelay(.seconds(2))])),
      ("latency=off ending=off delivery=off", .set(both, [.latency(.zero), .ending(.close), .delivery(.flowing)])),
      ("up hold", .set([.up], [.delivery(.held)])), ("drop", .set(both, [.delivery(.dropped)])),
      ("flow", .set(both, [.delivery(.flowing)])), ("down clear", .clear([.down])), ("cut", .cut),
      ("cut up after=1000", .cutAfter(1_000, .up)), ("blackhole on", .blackHole(true)), ("refuse off", .refuse(false)),
      ("stall on", .stall(true)),
      ("half-open near", .halfOpen(gone: .near)), ("heal", .heal), ("  show ", .show),
    ]
    for (text, command) in rows { #expect(try FaultCommand(text) == command, "\(text)") }
  }

  @Test(arguments: [
    ("", "an empty command; one of up, down"), ("up", "which setting? one of latency"),
    ("latncy=3", "there is no setting latncy; did you mean latency?"), ("hld", "did you mean hold?"),
    ("up latency=fast", "latency=fast: expected a time such as 5"),
    ("bandwidth=0", "bandwidth=0: expected a whole number above 0"),
    ("bandwidth=-1KiB", "expected a whole number above 0"), ("slice=9223372036854775807KiB", "expected a whole number"),
    ("ending=never", "expected one of close, reset"), ("blackhole", "blackhole: on or off?"),
    ("refuse maybe", "refuse: on or off?"), ("cut now", "either cut, or cut up after=BYTES"),
    ("cut up after=x", "either cut"), ("half-open", "which end is gone?"), ("heal all", "heal takes nothing more"),
    ("hold up", "hold takes nothing more"), ("latency", "latency is no command and no setting; did you mean latency=?"),
  ])
  func `a wrong command is told what would be right`(text: String, problem: String) {
    #expect {
      try FaultCommand(text)
    } throws: {
      "\($0)".contains(problem)
    }
  }

  @Test func `a schedule is read line by line and sorted by time`() throws {
    let schedule = try FaultSchedule(text: "# slow first\n\n2s up latency=1s\n  0.5 cut\n2s down hold\n")
    #expect(schedule.entries.map(\.at) == [.milliseconds(500), .seconds(2), .seconds(2)])
    #expect(schedule.entries.map(\.text) == ["cut", "up latency=1s", "down hold"])
    #expect(schedule.entries[0].command == .cut)
    for (text, problem) in [("1s cut\nsoon cut", "line 2: soon: expected a time"), ("1s cutt", "line 1: cutt")] {
      #expect {
        try FaultSchedule(text: text)
      } throws: {
        "\($0)".contains(problem)
      }
    }
  }

  @Test func `the same seed draws the same faults and every one of them can be read`() throws {
    var (first, second, third) = (FaultDraw(seed: 1), FaultDraw(seed: 1), FaultDraw(seed: 2))
    var texts: [[String]] = [[], []]
    for _ in 1...300 {
      let next = first.next(longest: .seconds(10))
      let same = second.next(longest: .seconds(10))
      #expect(next.text == same.text && next.lasts == same.lasts)
      #expect(next.lasts >= .seconds(1) && next.lasts <= .seconds(10))
      _ = try FaultCommand(next.text)
      texts[0].append(next.text)
      texts[1].append(third.next(longest: .seconds(10)).text)
    }
    #expect(texts[0] != texts[1])
    #expect(Set(texts[0].map { $0.split(separator: "=")[0] }).count >= 12, "every kind is drawn")
  }
}
