/// One of the demonstration's commands, and what must have come of it in the end.
struct DemoTask {
  let id: String
  let name: String
  let script: String
  let exitCode: Int
  /// The last line of its standard output.
  let lastLine: String

  /// Counters that checkpoint, small jobs, failures, and long outputs: forty real shell commands.
  static let all: [DemoTask] = {
    let counters = (1...24).map { number in counter(to: 30 + number % 5 * 4, id: "") }
    let small = [
      job("sum", "echo $((17 * 23))", last: "391"),
      job("sort", "printf '%s\\n' pear apple fig | sort | head -n 1", last: "apple"),
      job("upper", "echo lifeline | tr a-z A-Z", last: "LIFELINE"),
      job("words", "echo one two three four | wc -w", last: "4"),
      job("awk", "seq 1 100 | awk '{ total += $1 } END { print total }'", last: "5050"),
      job("kernel", "sleep 1; uname -s", last: "Linux"),
      job("environment", "echo \"$LIFELINE_TASK_ID\"", last: nil),
      job("reverse", "echo stressed | rev", last: "desserts"),
    ]
    let failures = [
      job("exit 3", "echo leaving; exit 3", exit: 3, last: "leaving"),
      job("stderr", "echo fine; echo oops >&2; exit 7", exit: 7, last: "fine"),
      job("false", "false", exit: 1, last: ""),
      job("killed", "echo before; kill -9 $$", exit: 137, last: "before"),
    ]
    let long = [
      job("five thousand lines", "seq 1 5000", last: "5000"),
      job("a line of 60,000", "head -c 60000 /dev/zero | tr '\\0' x; echo; echo end", last: "end"),
      job("slow lines", "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done", last: "5"),
      job("both outputs", "seq 1 500 >&2; seq 1 500", last: "500"),
    ]
    let tasks = counters + small + failures + long
    return tasks.enumerated().map { index, task in
      let id = "demo-\(index < 9 ? "0" : "")\(index + 1)"
      return DemoTask(
        id: id, name: task.name, script: task.script, exitCode: task.exitCode,
        lastLine: task.name == "environment" ? id : task.lastLine)
    }
  }()

  private static func job(_ name: String, _ script: String, exit: Int = 0, last: String?) -> DemoTask {
    DemoTask(id: "", name: name, script: script, exitCode: exit, lastLine: last ?? "")
  }

  /// Counts up, a checkpoint at every step; a later attempt goes on from the last.
  static func counter(to limit: Int, id: String) -> DemoTask {
    let script = """
      i=0
      if [ -s "$LIFELINE_CHECKPOINT_FILE" ]; then i=$(cat "$LIFELINE_CHECKPOINT_FILE"); fi
      echo "attempt $LIFELINE_ATTEMPT starts at $i"
      while [ "$i" -lt \(limit) ]; do
        sleep 0.2
        i=$((i + 1))
        echo "{\\"checkpoint\\": $i}" >&"$LIFELINE_CONTROL_FD"
      done
      echo "counted to $i"
      """
    return DemoTask(
      id: id, name: "count to \(limit)", script: script, exitCode: 0, lastLine: "counted to \(limit)")
  }
}
