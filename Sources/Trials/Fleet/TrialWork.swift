import CoordinationCore
import Primitives

/// One task of a trial, and what must come of it.
struct TrialWork: Equatable, Sendable {
  var id: TaskID
  /// How far it counts, with a checkpoint at each step.
  var steps = 4
  var pause: Duration = .milliseconds(250)
  /// Added to every checkpoint.
  var padBytes = 0
  /// Written to standard output at the end.
  var outputBytes = 0
  var priority = TaskPriority.normal
  var retries = 0
  /// Its exit status in the end; `nil` when it never comes to one.
  var exitCode: Int? = 0
  /// It kills the worker that runs it, and is given up after so many attempts that were lost.
  var lethalAttempts: Int?

  init(id: TaskID) { self.id = id }

  var expectedStatus: TaskStatus {
    lethalAttempts == nil && (exitCode ?? 0) == 0 ? .completed : .failed
  }

  /// What a worker that executes demo tasks only can do of it.
  func demonstration(run: String) -> JSONValue {
    [
      "task_id": .string(id.text), "name": .string(id.text), "kind": "demo_task",
      "input": ["iterations": .integer(Int64(steps)), "sleep": .duration(pause)], "run": .string(run),
    ]
  }

  func submission(script: String, run: String) -> JSONValue {
    let arguments = [
      "sh", script, "\(steps)", "\(pause.inSeconds)", "\(padBytes)", "\(outputBytes)", "\(exitCode ?? 0)",
      lethalAttempts == nil ? "tame" : "lethal",
    ]
    var object: JSONObject = [
      "task_id": .string(id.text), "name": .string(id.text), "command": .array(arguments.map(JSONValue.string)),
      "priority": .string(priority.name), "retries": .integer(Int64(retries)), "run": .string(run),
    ]
    if let lethalAttempts { object["max_lost_attempts"] = .integer(Int64(lethalAttempts)) }
    return .object(object)
  }

  /// Counts from its checkpoint, and says what it does in a journal that no part of the system under trial touches.
  static let script = """
    n=0
    if [ -s "$LIFELINE_CHECKPOINT_FILE" ]; then
      c=$(cat "$LIFELINE_CHECKPOINT_FILE"); c=${c#*\\"n\\":}; n=${c%%[,\\}]*}
    fi
    pad=
    if [ "$3" -gt 0 ]; then pad=$(head -c "$3" /dev/zero | tr '\\0' x); fi
    say() { echo "$1 $LIFELINE_TASK_ID $LIFELINE_ATTEMPT $n" >> "$LIFELINE_TRIAL_JOURNAL"; }
    say start
    if [ "$6" = lethal ]; then
      read -r _ _ _ worker _ < "/proc/$PPID/stat"
      kill -9 "$worker"
    fi
    while [ "$n" -lt "$1" ]; do
      sleep "$2"
      n=$((n + 1))
      printf '{"progress":%s,"checkpoint":{"n":%s,"pad":"%s"}}\\n' "0.$((n * 9 / $1))" "$n" "$pad" >&$LIFELINE_CONTROL_FD
      say step
    done
    if [ "$4" -gt 0 ]; then head -c "$4" /dev/zero | tr '\\0' o; fi
    say done
    exit "$5"

    """
}
