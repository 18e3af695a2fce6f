import Glibc
import Reactor

/// The processes of commands whose supervising process is no longer there to end them.
///
/// They are known by the session that the supervising process led, and by the folder named in the environment they
/// were started with, which also marks those that have left the session.
struct Leftovers {
  var session: Int32?
  /// The attempt's or the worker's private folder.
  let folder: String

  /// Sends SIGKILL to all of them; returns whether none was left to kill.
  @discardableResult
  func kill() -> Bool {
    let me = getpid()
    var isClean = true
    for entry in ProcessTable.entries() where entry.isAlive && entry.pid != me {
      let isOurs =
        entry.session == session
        || ProcessTable.environment(
          of: entry.pid, has: CommandVariable.checkpointFile, beginningWith: "\(folder)/")
      guard isOurs else { continue }
      isClean = false
      _ = Glibc.kill(entry.pid, SIGKILL)
    }
    return isClean
  }

  /// Kills until none is left, for a moment at most; only for a worker's start, since it blocks.
  func killAll() {
    var cleanPasses = 0
    for _ in 0..<Self.maxPasses where cleanPasses < Self.cleanPassesNeeded {
      cleanPasses = kill() ? cleanPasses + 1 : 0
      usleep(2_000)
    }
  }

  static let maxPasses = 500
  /// A process has no environment to be known by for the moment in which it becomes another program.
  static let cleanPassesNeeded = 2
}
