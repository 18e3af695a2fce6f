/// Shell scripts that commands of these tests begin with.
enum Scripts {
  /// Proves that no other attempt of this task runs on this machine: the lock is held until every process of the attempt
  /// has ended, since they all inherit its descriptor. Then says that the attempt starts, its process, and its checkpoint.
  static let start = """
    exec 9>>"$E2E/$LIFELINE_TASK_ID.lock"
    flock -n 9 || echo "overlap $LIFELINE_TASK_ID $LIFELINE_ATTEMPT" > "$J"
    from=none
    [ -f "$LIFELINE_CHECKPOINT_FILE" ] && from=$(cat "$LIFELINE_CHECKPOINT_FILE")
    echo "start $LIFELINE_TASK_ID $LIFELINE_ATTEMPT $$ $from" > "$J"

    """

  /// A background process in the command's group, and one that has left it; both hold the lock.
  static let grandchildren = """
    sleep 1000 &
    setsid sleep 1000 &

    """

  /// Waits for the test.
  static func wait(_ gate: String) -> String { "read -r _ < \"$E2E/\(gate)\"\n" }

  static func checkpoint(_ json: String) -> String {
    "printf '%s\\n' '{\"checkpoint\":\(json)}' >&$LIFELINE_CONTROL_FD\n"
  }

  /// Says that the attempt did its work to the end.
  static let done = """
    echo "done $LIFELINE_TASK_ID $LIFELINE_ATTEMPT" > "$J"
    echo "output of attempt $LIFELINE_ATTEMPT"

    """
}
