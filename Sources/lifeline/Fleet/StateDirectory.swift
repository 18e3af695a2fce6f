import ArgumentParsing
import Glibc
import Primitives

/// Where a worker keeps what must survive it: `$XDG_STATE_HOME/lifeline`, else `~/.local/state/lifeline`.
enum StateDirectory {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// `nil` when the environment names neither.
  static func usual(_ variables: [String: String]) -> String? {
    // The specification of XDG_STATE_HOME says that a relative path is to be ignored.
    if let state = variables["XDG_STATE_HOME"], state.hasPrefix("/") { return state + "/lifeline" }
    if let home = variables["HOME"], home.hasPrefix("/") { return home + "/.local/state/lifeline" }
    return nil
  }

  /// Makes the folder, and those above it, for this user alone; one that is there stays as it is.
  static func create(_ path: String) throws(Failure) {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      made += "/\(part)"
      // SAFETY: the path lives for the call.
      guard unsafe mkdir(made, 0o700) != 0 else { continue }
      let code = errno
      var status = stat()
      // A folder that is there may be in a place where none could be made: EEXIST is not the only good answer.
      // SAFETY: stat fills the local it is given.
      if unsafe stat(made, &status) == 0 {
        if status.st_mode & S_IFMT == S_IFDIR { continue }
        throw Failure(description: "the state folder \(path) cannot be made: \(made) is not a folder")
      }
      // SAFETY: strerror's text is copied before anyone else could ask for another.
      let reason = unsafe String(cString: strerror(code))
      throw Failure(
        description: "the state folder \(path) cannot be made: \(made): \(reason); choose another with --state-dir")
    }
  }
}
