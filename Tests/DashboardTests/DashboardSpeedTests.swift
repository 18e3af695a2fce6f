import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension InChromium {
  /// A large fleet in the page: what an update costs, and that it costs as much as what is in sight.
  ///
  /// `Scripts/dashboard-measure.sh` runs it with 1,000 workers and 10,000 tasks and prints what it measured.
  @Suite struct DashboardSpeedTests {
    private static func setting(_ name: String, _ usual: Int) -> Int {
      getenv(name).flatMap { Int(String(cString: $0)) } ?? usual
    }

    @Test func `a page with a large fleet shows what is in sight, whatever the rest does`() throws {
      let workers = Self.setting("LIFELINE_DASHBOARD_WORKERS", 150)
      let tasks = Self.setting("LIFELINE_DASHBOARD_TASKS", 1_500)
      let updates = Self.setting("LIFELINE_DASHBOARD_UPDATES", 12)
      let fleet = try DashboardFleet(["--demo-tasks", "\(tasks)"], heartbeats: ("5s", "60s"))
      let page = try DashboardUseTests.opened(fleet, in: Chromium(), width: 1_920, height: 1_080)
      try page.wait(for: "all tasks", rounds: 5, "lifelineStatistics.summary.tasks === \(tasks)")
      try fleet.start(["fleet", "--workers", "\(workers)", "--slots", "2"])
      try page.wait(for: "all workers", rounds: 5, "lifelineStatistics.summary.workers === \(workers)")
      // In the processor's time, which other programs of the machine do not stretch.
      try page.call("Performance.enable", ["timeDomain": "threadTicks"])
      func busySeconds() throws -> Double {
        let metrics = (try page.call("Performance.getMetrics")["metrics"]?.array ?? []).compactMap(\.object)
        return metrics.first { $0["name"]?.string == "TaskDuration" }?["value"]?.number ?? 0
      }
      _ = try page.evaluate("lifelineStatistics.reset()")
      let before = try busySeconds()
      // The first of them show what happened while the workers came.
      try page.wait(for: "\(updates) updates", rounds: 5, "lifelineStatistics.summary.updates >= \(updates)")
      let statistics = try #require(try page.evaluate("lifelineStatistics.summary").object)
      let count = statistics["updates"]?.integer ?? 0
      let busy = (try busySeconds() - before) * 1_000 / Double(max(1, count))
      func milliseconds(_ name: String) -> String { milliseconds(statistics[name]?.number ?? -1) }
      func milliseconds(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) ms"
      }
      print(
        """
        dashboard: \(workers) workers, \(tasks) tasks, \(count) updates; \
        an update with its layout and paint took \(milliseconds("medianMs")) (median), \(milliseconds("worstMs")) (worst), \
        of which script \(milliseconds("medianScriptMs")) and \(milliseconds("worstScriptMs")); \
        everything that the page did cost \(milliseconds(busy)) of a processor for each
        """)
      let rows = try page.evaluate("document.querySelectorAll('.list tbody tr').length").integer ?? 0
      #expect(rows > 20 && rows < 120, "\(rows) rows exist")
      #expect(try page.evaluate("document.querySelectorAll('*').length").integer ?? 0 < 4_000)
      #expect(page.problems.isEmpty, "\(page.problems)")
    }
  }
}
