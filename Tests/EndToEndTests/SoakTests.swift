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
      let fleet = try Fleet(lease: .seconds(2))
      let file = fleet.directory.file("soak.sh")
      try write(Self.script, to: file)
      let schedule = try FaultSchedule(fleet, seed: seed, workers: 3, slots: 2)
      defer { schedule.stop() }
      let lines = (1...Self.tasks).map { "exec sh \(file) \($0)" }.joined(separator: "\n")
      let run = try fleet.start(["run", "--run", "soak"], input: lines)
      do {
        try fleet.watch.tasks.wait(for: "submission") {
          Set($0.map { $0.text("task_id") }).count == Self.tasks ? true : nil
        }
        try schedule.run(for: .seconds(20)) { run.hasEnded }
        #expect(try run.exit(limit: .seconds(40)) == .exited(1), "two thirds of the commands fail on purpose")
        try check(fleet)
      } catch {
        let stuck = fleet.watch.tasks.all.reduce(into: [:]) { $0[$1.text("task_id")] = $1 }.values.filter {
          !$0.hasEnded
        }
        Issue.record("\(error)\nnot ended: \(stuck.map { JSONValue.object($0).text }.joined(separator: "\n"))")
      }
      let found = Set(fleet.journal.lines.all.filter { $0.hasPrefix("overlap") })
      #expect(found.isEmpty)
      #expect(fleet.processes("LIFELINE_TASK_ID", "").isEmpty)
      // A failed expectation does not know its seed; whoever reads it finds the faults above it.
      print("soak: \(replay), which did:\n  " + schedule.history.joined(separator: "\n  "))
    }

    private func check(_ fleet: Fleet) throws {
      let journal = fleet.journal.lines.all.map { $0.split(separator: " ").map(String.init) }
      let ended = try fleet.tasks()
      #expect(ended.count == Self.tasks)
      var firstEnd: [String: JSONObject] = [:]
      for state in fleet.watch.tasks.all {
        let id = state.text("task_id")
        if let first = firstEnd[id] { #expect(state == first, "\(id) changed after its end") }
        if state.hasEnded { firstEnd[id] = firstEnd[id] ?? state }
      }
      for number in 1...Self.tasks {
        let id = "soak-00\(number < 10 ? "0" : "")\(number)"
        let task = try fleet.task(id)
        let attempts = task.attempts
        let last = attempts.last ?? [:]
        let code = number % 3
        #expect(task.text("status") == (code == 0 ? "completed" : "failed"), "\(id): \(task.text("reason"))")
        #expect(task.number("exit_code") == code, "\(id)")
        #expect(attempts.map { $0.number("attempt") } == Array(1...max(1, attempts.count)), "\(id)")
        #expect(task.outcomes.dropLast().allSatisfy { $0 == "lost" }, "\(id): \(task.outcomes)")
        #expect(last.text("outcome") == (code == 0 ? "completed" : "failed"), "\(id)")
        for attempt in attempts.dropLast() { #expect(!attempt.text("reason").isEmpty, "\(id)") }

        // Each attempt was executed at most once, the last one to its end, and from where the newest checkpoint was.
        let starts = journal.filter { $0[0] == "start" && $0[1] == id }
        #expect(Set(starts.map { $0[2] }).count == starts.count, "\(id) executed an attempt twice: \(starts)")
        #expect(starts.map { Int($0[2]) ?? 0 } == starts.map { Int($0[2]) ?? 0 }.sorted(), "\(id): \(starts)")
        guard let start = starts.last, start[2] == "\(task.number("attempt"))" else {
          Issue.record("\(id) has a result of attempt \(task.number("attempt")), but these started: \(starts)")
          continue
        }
        let from = Int(start[4]) ?? 0
        let output = (from..<Self.steps).map { "\(id) step \($0 + 1)\n" }.joined()
        #expect(task.text("stdout") == output, "\(id) went on from \(from)")
        let dones = journal.filter { $0[0] == "done" && $0[1] == id && $0[2] == start[2] }
        #expect(dones.count == 1, "\(id)")
        if let key = last["resumed_from"]?.object {
          let kept = (task["checkpoints"]?.array ?? []).compactMap(\.object)
          let found = kept.first {
            $0.number("attempt") == key.number("attempt") && $0.number("number") == key.number("number")
          }
          if let found { #expect(found.number("data") == from, "\(id)") }
        } else {
          #expect(from == 0, "\(id)")
        }
      }
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
