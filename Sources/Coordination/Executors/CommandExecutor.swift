public import CoordinationCore
import Glibc
public import Primitives
public import Reactor

/// Executes commands: each as a child, in a process group of its own, of a small supervising process that ends it when
/// the worker dies or its lease runs out.
///
/// A command finds `LIFELINE_TASK_ID`, `LIFELINE_ATTEMPT`, `LIFELINE_CONTROL_FD`, `LIFELINE_CHECKPOINT_FILE` and
/// `LIFELINE_JUNIT_FILE` in its environment. The checkpoint's is always set, but the file exists only when there is one
/// to go on from; the last names a file that the command may write, and that its result then carries. One with a working
/// directory of its own also finds `LIFELINE_WORKDIR`. What a command leaves running in the background is ended with it. A
/// command that stands still does not use up its timeout.
public final class CommandExecutor: TaskExecutor {
  public struct Configuration: Sendable {
    /// The path of the `lifeline` program, which is started as `PATH supervise …`. nil: the running program, which then
    /// must be `lifeline`.
    public var supervisor: String?
    /// Between SIGTERM and SIGKILL, when a command is cancelled or its time is up.
    public var terminationGrace: Duration = .seconds(5)
    /// Kept of each stream; what lies between the beginning and the end of longer output is left out.
    public var maxOutputBytes = 192 << 10
    /// The longest checkpoint taken from a command, in bytes of JSON text; longer ones are ignored and logged.
    public var maxCheckpointBytes = 256 << 10
    /// Where the private folder is made, and with it what attempts run in. nil: `TMPDIR`, or `/tmp`.
    public var temporaryDirectory: String?
    /// Which variables of this process's environment commands find in theirs.
    public var passedEnvironment = PassedEnvironment.usual
    /// The most that a command's own working directory may hold, whatever its task asks for; nil: what that says.
    public var maxWorkingDirectoryBytes: Int64?
    /// The shortest time between two looks at how much working directories hold.
    public var workingDirectoryInterval: Duration = .seconds(1)
    /// How long the pipes of a command that has ended may be held open by somebody else.
    public var drainLimit: Duration = .seconds(2)
    /// How long a supervising process that was told to end its command may be silent (beyond the grace) before it is
    /// killed and its command's processes are looked for.
    public var supervisorPatience: Duration = .seconds(10)

    public init() {}
  }

  public let kinds: Set<String> = ["command"]
  public let configuration: Configuration
  /// Takes what is worth a note, such as a malformed control line.
  public var log: ((LogEntry) -> Void)?

  private var attempts: [AttemptKey: CommandAttempt] = [:]
  /// Attempts that begin once an older attempt of the same task has ended.
  private var waiting: [Waiting] = []
  private var lease: Instant?
  private var directory: AttemptDirectory?
  private var watch: WorkingDirectoryWatch?

  private struct Waiting {
    let assignment: Assignment
    let reporter: AttemptReporter
    let loop: EventLoop
    var isPaused = false
  }

  /// Also ends and removes what workers that were killed have left on this machine; takes a few milliseconds.
  public init(_ configuration: Configuration = Configuration()) {
    self.configuration = configuration
    AttemptDirectory.cleanUp(in: Self.temporaryDirectory(configuration))
  }

  /// Attempts that have not ended, for tests and statistics.
  public var activeAttempts: [AttemptKey] { Array(attempts.keys) + waiting.map(\.reporter.key) }

  public func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop) {
    let older = attempts.keys.filter { $0.taskID == assignment.taskID }
    guard older.isEmpty, !waiting.contains(where: { $0.assignment.taskID == assignment.taskID }) else {
      // Two attempts of one task never run side by side.
      waiting.append(Waiting(assignment: assignment, reporter: reporter, loop: loop))
      for key in older { attempts[key]?.stop(.superseded) }
      return
    }
    begin(assignment, reporter, loop)
  }

  public func pause(_ key: AttemptKey) {
    attempts[key]?.pause()
    if let index = indexOfWaiting(key) { waiting[index].isPaused = true }
  }

  public func resume(_ key: AttemptKey) {
    attempts[key]?.resume()
    if let index = indexOfWaiting(key) { waiting[index].isPaused = false }
  }

  public func stop(_ key: AttemptKey, _ reason: StopReason) {
    attempts[key]?.stop(reason)
    guard let index = indexOfWaiting(key) else { return }
    waiting.remove(at: index).reporter.ended(AttemptEnding(.cancelled, reason: reason.rawValue))
  }

  public func leaseRenewed(until deadline: Instant) {
    lease = deadline
    for attempt in attempts.values { attempt.leaseRenewed(until: deadline) }
  }

  public func roomAvailable() {
    for attempt in Array(attempts.values) { attempt.roomAvailable() }
  }

  private func indexOfWaiting(_ key: AttemptKey) -> Int? { waiting.firstIndex { $0.reporter.key == key } }

  private func begin(_ assignment: Assignment, _ reporter: AttemptReporter, _ loop: EventLoop) {
    guard case .command(let command) = assignment.specification.work else {
      return reporter.ended(
        AttemptEnding(.failed, reason: "\(assignment.specification.work.kind) is not a command"))
    }
    do {
      let supervisor = try configuration.supervisor ?? Self.runningProgram()
      let folder = try attemptDirectory().makeAttempt(checkpoint: assignment.checkpoint?.data)
      let directory: WorkingDirectory?
      do throws(SystemError) {
        directory = try command.ownDirectory.map { request throws(SystemError) in
          if let prepared = command.workingDirectory {
            return WorkingDirectory(request, at: prepared, limit: configuration.maxWorkingDirectoryBytes)
          }
          return try WorkingDirectory(request, in: folder, limit: configuration.maxWorkingDirectoryBytes)
        }
      } catch {
        FileTree.remove(folder)
        throw error
      }
      let attempt = CommandAttempt(
        command, timeout: assignment.specification.timeout, reporter, folder: folder, workingDirectory: directory,
        configuration, on: loop, log: { [weak self] in self?.log?($0) })
      attempts[reporter.key] = attempt
      if let directory {
        let watch = watch ?? WorkingDirectoryWatch(on: loop, interval: configuration.workingDirectoryInterval)
        self.watch = watch
        watch.add(reporter.key, directory) { [weak attempt] in attempt?.exceeded($0) }
      }
      attempt.start(supervisor: supervisor, lease: lease) { [weak self] in self?.ended(reporter.key) }
    } catch {
      reporter.ended(AttemptEnding(.failed, reason: "the command could not be prepared: \(error)"))
    }
  }

  private func ended(_ key: AttemptKey) {
    attempts[key] = nil
    watch?.remove(key)
    guard let index = waiting.firstIndex(where: { $0.assignment.taskID == key.taskID }) else { return }
    let next = waiting.remove(at: index)
    // Not from within the older attempt's last words.
    next.loop.afterTurn { [self] in
      start(next.assignment, reporter: next.reporter, on: next.loop)
      if next.isPaused { pause(next.reporter.key) }
    }
  }

  private func attemptDirectory() throws(SystemError) -> AttemptDirectory {
    if let directory { return directory }
    let made = try AttemptDirectory(in: Self.temporaryDirectory(configuration))
    directory = made
    return made
  }

  private static func temporaryDirectory(_ configuration: Configuration) -> String {
    if let path = configuration.temporaryDirectory { return path }
    // SAFETY: the value is copied at once; nothing in this program changes the environment meanwhile.
    if let value = unsafe getenv("TMPDIR") {
      let path = unsafe String(cString: value)
      if !path.isEmpty { return path }
    }
    return "/tmp"
  }

  /// The running program by a name that survives its file's replacement.
  private static func runningProgram() throws(SystemError) -> String {
    let link = "/proc/self/exe"
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: readlink writes at most `count` bytes.
    let length = unsafe readlink(link, &buffer, buffer.count)
    let target = String(decoding: buffer.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard target.hasSuffix("/lifeline") || target.hasSuffix("/lifeline (deleted)") else {
      throw SystemError(
        call: "supervise", subject: target, code: ENOENT,
        detail: "set CommandExecutor.Configuration.supervisor to the path of the lifeline program")
    }
    return link
  }
}

@available(*, unavailable) extension CommandExecutor: Sendable {}
