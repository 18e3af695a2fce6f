import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct SoakTests {
    private static let tasks = 30
    private static let steps = 12

    /// Counts to `steps`, with a checkpoint at each, and ends with a status of its own.
    private static let script =
      Scripts.start + """
        n=0
        [ "$from" = none ] || n=$from
        while [ $n -lt \(steps) ]; do
          sleep 0.2
          n=$((n + 1))
          echo "{\\"checkpoint\\":$n}" >&$LIFELINE_CONTROL_FD
          echo "$LIFELINE_TASK_ID step $n"
        done
        echo "done $LIFELINE_TASK_ID $LIFELINE_ATTEMPT" > "$J"
        exit $(($1 % 3))

        """

    @Test func `whatever is cut, frozen and killed, every task ends exactly once, continued from its checkpoints`()
      throws
    {
      let seed =
        getenv("LIFELINE_SEED").flatMap { UInt64(String(cString: $0)) } ?? UInt64.random(in: 0...UInt64.max)
      let replay = "LIFELINE_SEED=\(seed) swift test --filter SoakTests"
      print("soak: \(replay)")
      // Longer than most of what the schedule does, and shorter than some of it.
      // Whether two attempts may run at a time until the older one is told.
      let isExclusive = seed % 2 == 0
      let fleet = try Fleet(
        lease: .seconds(2), coordinatorOptions: isExclusive ? ["--exclusive-leases"] : ["--closed-grace", "500ms"])
      let file = fleet.directory.file("soak.sh")
      try write(Self.script, to: file)
      let schedule = try FaultSchedule(fleet, seed: seed, workers: 3, slots: 2)
      defer { schedule.stop() }
      let lines = (1...Self.tasks).map { "exec sh \(file) \($0)" }.joined(separator: "\n")
      let run = try fleet.start(["run", "--run", "soak"], input: lines)
      var problems: [String] = []
      do {
        try fleet.watch.tasks.wait(for: "submission") {
          Set($0.map { $0.text("task_id") }).count == Self.tasks ? true : nil
        }
        try schedule.run(for: .seconds(20)) { run.hasEnded }
        // Two thirds of the commands fail on purpose.
        let status = try run.exit(limit: .seconds(40))
        if status != .exited(1) { problems.append("run ended with \(status)") }
        problems += try changesAfterTheEnd(fleet)
        for number in 1...Self.tasks { problems += try problemsOfTask(number, fleet) }
      } catch {
        problems.append("\(error)")
        let newest = fleet.watch.tasks.all.reduce(into: [:]) { $0[$1.text("task_id")] = $1 }.values
        problems += newest.filter { !$0.hasEnded }.map { "not ended: \(JSONValue.object($0).text)" }
      }
      if isExclusive { problems += try fleet.journal.all().filter { $0.hasPrefix("overlap") } }
      // An attempt that was superseded may still be told so.
      do {
        try eventually("end of every process") {
          fleet.processes("LIFELINE_TASK_ID", "").isEmpty ? true : nil
        }
      } catch { problems.append("\(error)") }
      let report = [replay] + problems + ["what was done, in milliseconds:"] + schedule.history
      #expect(problems.isEmpty, "\(report.joined(separator: "\n  "))")
    }

    /// Everything that the coordinators reported of a task after its end is the same.
    private func changesAfterTheEnd(_ fleet: Fleet) throws -> [String] {
      var problems: [String] = []
      var ends: [String: JSONObject] = [:]
      for state in fleet.watch.tasks.all + (try fleet.tasks()) {
        let id = state.text("task_id")
        if let end = ends[id] {
          if state != end { problems.append("\(id) changed after its end: \(JSONValue.object(state).text)") }
        } else if state.hasEnded {
          ends[id] = state
        }
      }
      return problems
    }

    private func problemsOfTask(_ number: Int, _ fleet: Fleet) throws -> [String] {
      var problems: [String] = []
      func check(_ isGood: Bool, _ what: String) { if !isGood { problems.append(what) } }
      let id = "soak-00\(number < 10 ? "0" : "")\(number)"
      let task = try fleet.task(id)
      let (code, attempt, attempts) = (number % 3, task.number("attempt"), task.attempts)
      let status = code == 0 ? "completed" : "failed"
      check(task.text("status") == status, "is \(task.text("status")): \(task.text("reason"))")
      check(task.number("exit_code") == code, "has exit code \(task.number("exit_code"))")
      check(attempts.map { $0.number("attempt") } == Array(1...max(1, attempt)), "attempts are missing")
      check(task.outcomes == attempts.dropLast().map { _ in "lost" } + [status], "outcomes \(task.outcomes)")
      check(attempts.dropLast().allSatisfy { !$0.text("reason").isEmpty }, "attempts without a reason")

      // Each attempt was executed at most once, in order, the last one to its end.
      let journal = try fleet.journal.all().map { $0.split(separator: " ").map(String.init) }
      let starts = journal.filter { $0.starts(with: ["start", id]) && $0.count == 5 }
      let numbers = starts.map { Int($0[2]) ?? 0 }
      check(numbers == Set(numbers).sorted() && numbers.last == attempt, "these attempts were started: \(numbers)")
      check(journal.count { $0 == ["done", id, "\(attempt)"] } == 1, "attempt \(attempt) did not do its work once")

      // From where its checkpoint was, to the end; nothing was left out and nothing done twice.
      let from = starts.last.flatMap { Int($0[4]) } ?? 0
      let output = (from..<Self.steps).map { "\(id) step \($0 + 1)\n" }.joined()
      check(task.text("stdout") == output, "went on from \(from) and wrote \(task.text("stdout"))")
      if let key = attempts.last?["resumed_from"]?.object {
        let source = (task["checkpoints"]?.array ?? []).compactMap(\.object).first {
          $0.number("attempt") == key.number("attempt") && $0.number("number") == key.number("number")
        }
        check(source.map { $0.number("data") == from } ?? true, "was not given its newest checkpoint")
      } else {
        check(from == 0, "went on from a checkpoint that nobody recorded")
      }
      return problems.map { "\(id) \($0): \(JSONValue.object(task).text)" }
    }

    private func write(_ text: String, to path: String) throws {
      let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
      defer { close(descriptor) }
      guard Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count else {
        throw TimedOut("cannot write \(path)")
      }
    }
  }
}
