import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension InChromium {
  /// The picture of the page that README.md shows, of a fleet that works while some of it fails.
  ///
  /// `Scripts/dashboard-picture.sh` has it run for two minutes and writes `Docs/dashboard.png`; otherwise the fleet has just
  /// begun, and the picture goes to a temporary folder.
  @Suite struct DashboardPictureTests {
    private static let suites = [
      "checkout", "search_index", "login", "payment_retries", "migrations", "image_resize", "report_export",
      "cache_warmup",
      "websocket_echo", "deflate_windows", "rate_limits", "session_resume", "storage_recovery", "priorities", "drains",
    ]

    /// Stands for the tests: takes its time and now and then fails, as its arguments say.
    private static let pytest = """
      #!/bin/sh
      sum=$(printf %s "$*" | cksum)
      sum=${sum%% *}
      echo "$* ..."
      sleep "$((sum % 7 + 2)).$((sum % 10))"
      [ "$((sum % 40))" -ne 0 ] || { echo "1 failed"; exit 1; }
      echo "1 passed"
      """

    /// The seed makes the same commands each time.
    private static func commands(_ count: Int, seed: UInt64) -> String {
      var generator = SeededGenerator(seed: seed)
      return (0..<count).map { _ in
        let suite = suites.randomElement(using: &generator) ?? ""
        return "pytest tests/\(suite)_test.py -k \(Int.random(in: 100...999, using: &generator))"
      }.joined(separator: "\n")
    }

    @Test func `the picture shows a fleet at work`() throws {
      let isForDocuments = getenv("LIFELINE_DASHBOARD_PICTURE") != nil
      let folder = TemporaryDirectory()
      let path = getenv("LIFELINE_DASHBOARD_PICTURE").map { String(cString: $0) } ?? folder.file("dashboard.png")
      let seconds = isForDocuments ? 95 : 1
      let fleet = try DashboardFleet()
      try fleet.program("pytest", Self.pytest)
      // Some of them are far away.
      let distance = try fleet.start(["proxy", "--to", "127.0.0.1:\(fleet.port)", "--up", "latency=9ms,jitter=4ms"])
      let line = try distance.output.first("address of the proxy") { $0.contains("127.0.0.1:") }
      let far = "ws://127.0.0.1:\(line.split(separator: ":").last.map { $0.prefix { $0.isNumber } } ?? "")"
      var workers: [String: TestProcess] = [:]
      let names = (1...14).map { "rack\(($0 - 1) / 5 + 1)-\(($0 - 1) % 5 + 1)" }
      for (index, name) in (isForDocuments ? names : Array(names.prefix(3))).enumerated() {
        workers[name] = try fleet.worker(name, slots: 2 + index % 3 * 2, through: index % 5 == 4 ? far : nil)
      }
      let amount = isForDocuments ? 1 : 20
      for (run, priority, count) in [
        ("nightly-4127", "NORMAL", 620), ("release-2.4", "HIGH", 90), ("unit-9c1f", "NORMAL", 240),
        ("browsers", "LOW", 160), ("hotfix-311", "CRITICAL", 24), ("coverage", "BACKGROUND", 80),
      ] {
        try fleet.run(
          ["submit", "--run", run, "--priority", priority],
          input: Self.commands(count / amount, seed: UInt64(count)))
      }
      let page = try DashboardUseTests.opened(fleet, in: Chromium(), width: 1_440, height: 900)
      try page.prefer(theme: isForDocuments ? "light" : "dark")
      try page.wait(for: "tasks that ended", "document.querySelectorAll('#task-list tbody tr').length > 5")

      /// Waits for the page's own clock, which its plots are drawn by.
      func pass(_ share: Double) throws {
        let wait = Int(Double(seconds) * share * 1_000)
        _ = try page.evaluate("new Promise(done => setTimeout(() => done(true), \(wait)))")
      }
      if isForDocuments {
        // Calls that wait on their page longer than a minute would run into the bound of a call.
        for name in ["rack1-3", "rack2-4"] { try workers[name]?.kill() }
        try pass(0.2)
        for name in ["rack1-3", "rack2-4"] { try fleet.worker(name, slots: 4) }
        try pass(0.25)
        try workers["rack3-2"]?.kill()
        try pass(0.1)
        try fleet.worker("rack3-2", slots: 4)
        try pass(0.25)
        for (run, priority, count) in [("hotfix-312", "CRITICAL", 40), ("release-2.5", "HIGH", 70)] {
          try fleet.run(
            ["submit", "--run", run, "--priority", priority], input: Self.commands(count, seed: UInt64(count)))
        }
        try workers["rack1-5"]?.kill()
        workers["rack2-1"]?.signal(SIGTERM)
        try pass(0.03)
      } else {
        try pass(1)
      }
      let picture = try page.picture()
      #expect(picture.starts(with: [0x89, 0x50, 0x4E, 0x47]))
      #expect(picture.count > 20_000 && picture.count < 300_000, "\(picture.count) bytes")
      let file = try #require(fopen(path, "w"))
      #expect(fwrite(picture, 1, picture.count, file) == picture.count)
      #expect(fclose(file) == 0)
      #expect(page.problems.isEmpty, "\(page.problems)")
    }
  }
}
