import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc

/// What a worker says about itself, and what its commands find around them.
enum PlacementOptions {
  static let labels = Option(
    "label", repeated: .namedText, as: "NAME=VALUE",
    "What tasks can choose the worker by (submit --require). It says os, arch, host, cpus and memory_mb by itself.")
  static let passEnvironment = Option(
    "pass-env", repeated: .string, as: "NAME",
    "A variable of the worker's environment that commands find in theirs; a * at the end stands for any ending. They always "
      + "find PATH, HOME, USER, LOGNAME, SHELL, LANG, LANGUAGE, LC_*, TZ, TMPDIR and TERM.")
  static let passAllEnvironment = Option(
    flag: "pass-all-env", "Commands find the worker's whole environment in theirs, but for Lifeline's own secrets.")
  static let directory = Option(
    "work-dir", optional: .string, as: "DIR", whenMissing: "$TMPDIR or /tmp",
    "Where the folders are made that commands run in (submit --workdir), and that hold their checkpoints.")
  static let maxDirectoryBytes = Option(
    "work-dir-max-bytes", optional: .integer(1...Int(OwnDirectory.maxBytesLimit)), as: "N",
    whenMissing: "what the task says",
    "The most that a command's own folder may hold, whatever its task asks for; one that holds more ends the command.")

  static let all: [any DeclaredOption] = [labels, passEnvironment, passAllEnvironment, directory, maxDirectoryBytes]

  /// The machine's own labels, and what was given instead or beside.
  static func labels(_ invocation: Invocation) throws(UsageError) -> WorkerLabels {
    let given = invocation[labels]
    guard given.count <= WorkerLabels.maxCount else { throw invocation.error("--label: \(LabelError.tooMany)") }
    var labels = BuiltInLabels.read()
    for label in given {
      do throws(LabelError) { try labels.set(label.name, label.value) } catch {
        throw invocation.error("--label: \(error)")
      }
    }
    return labels
  }

  static func apply(_ invocation: Invocation, to configuration: inout CommandExecutor.Configuration) throws(UsageError)
  {
    let names = invocation[passEnvironment]
    if invocation[passAllEnvironment] {
      configuration.passedEnvironment = .all
    } else {
      guard let passed = PassedEnvironment(andAlso: names) else {
        throw invocation.error("--pass-env takes names of variables, with a * at their end at most")
      }
      configuration.passedEnvironment = passed
    }
    configuration.maxWorkingDirectoryBytes = invocation[maxDirectoryBytes].map(Int64.init)
    guard let directory = invocation[directory] else { return }
    // Commands change to other folders, so what they are told must not depend on ours.
    // SAFETY: the path lives for the call; the result is copied and freed.
    guard let path = unsafe realpath(directory, nil) else {
      throw invocation.error("--work-dir: \(directory) cannot be entered: make the folder first")
    }
    configuration.temporaryDirectory = unsafe String(cString: path)
    unsafe free(path)
  }
}
