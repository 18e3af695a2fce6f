import CoordinationCore
import Primitives
import Reactor

/// Executes attempts that have files: brings the inputs, lets the executor of commands run them in a folder of their own,
/// and has what they left behind with the coordinator before their end is told.
final class FileAttempts: TaskExecutor {
  private enum Phase {
    case staging(WorkerFiles.Staging)
    case running
    case sending(WorkerFiles.Sending)
  }

  private final class Attempt {
    let assignment: Assignment
    let reporter: AttemptReporter
    var phase: Phase?
    var folder: String?
    var isPaused = false

    init(_ assignment: Assignment, _ reporter: AttemptReporter) {
      self.assignment = assignment
      self.reporter = reporter
    }
  }

  let kinds: Set<String> = [TaskSpecification.commandWithFiles]
  private let commands: any TaskExecutor
  private let files: WorkerFiles
  private var attempts: [AttemptKey: Attempt] = [:]

  /// - Parameter commands: told about leases and room by the worker itself.
  init(_ commands: any TaskExecutor, _ files: WorkerFiles) {
    self.commands = commands
    self.files = files
  }

  func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop) {
    let attempt = Attempt(assignment, reporter)
    attempts[reporter.key] = attempt
    let staging = files.stage(assignment.specification.inputs) { [self] result in
      switch result {
      case .failure(let problem): end(attempt, AttemptEnding(.failed, reason: problem.description))
      case .success(let folder): run(attempt, in: folder, on: loop)
      }
    }
    if attempt.phase == nil { attempt.phase = .staging(staging) }
  }

  private func run(_ attempt: Attempt, in folder: String, on loop: EventLoop) {
    let assignment = attempt.assignment
    attempt.folder = folder
    attempt.phase = .running
    guard case .command(var command) = assignment.specification.work else {
      return end(attempt, AttemptEnding(.failed, reason: "only commands have files"))
    }
    command.workingDirectory = folder
    // Its bound is for what the command adds.
    var own = command.ownDirectory ?? OwnDirectory()
    let inputs = assignment.specification.inputs.reduce(Int64(0)) { $0.addingReportingOverflow(Int64($1.file.size)).0 }
    own.maxBytes = min(max(own.maxBytes &+ inputs, own.maxBytes), OwnDirectory.maxBytesLimit)
    command.ownDirectory = own
    var specification = assignment.specification
    specification.work = .command(command)
    let reporter = AttemptReporter(attempt.reporter.key, room: { attempt.reporter.hasRoom }) { [self] event in
      if case .attemptEnded(_, let ending) = event { ended(attempt, ending) } else { attempt.reporter.pass(event) }
    }
    commands.start(
      Assignment(
        taskID: assignment.taskID, attempt: assignment.attempt, specification: specification,
        checkpoint: assignment.checkpoint), reporter: reporter, on: loop)
    if attempt.isPaused { commands.pause(attempt.reporter.key) }
  }

  private func ended(_ attempt: Attempt, _ ending: AttemptEnding) {
    let patterns = attempt.assignment.specification.outputs
    // What was stopped in the middle has nothing that anybody waits for.
    guard ending.outcome != .cancelled, !patterns.isEmpty, let folder = attempt.folder else {
      return end(attempt, ending)
    }
    let sending = files.send(patterns, from: folder) { [self] result in
      var ending = ending
      switch result {
      case .success(let outputs): ending.result = TaskOutput.result(outputs)
      case .failure(let problem):
        ending.reason = [ending.reason, problem.description].compactMap(\.self).joined(separator: "; ")
        ending.outcome = .failed
      }
      end(attempt, ending)
    }
    if attempts[attempt.reporter.key] === attempt { attempt.phase = .sending(sending) }
  }

  private func end(_ attempt: Attempt, _ ending: AttemptEnding) {
    if attempts[attempt.reporter.key] === attempt { attempts[attempt.reporter.key] = nil }
    // So that nothing that comes late is about it.
    attempt.phase = .running
    if let folder = attempt.folder.take() { files.remove(folder) }
    attempt.reporter.ended(ending)
  }

  func pause(_ key: AttemptKey) {
    guard let attempt = attempts[key] else { return }
    attempt.isPaused = true
    switch attempt.phase {
    case .running: commands.pause(key)
    // It goes on with what is no work of its own: to stand still it must have started first.
    case .staging, .sending, nil: break
    }
  }

  func resume(_ key: AttemptKey) {
    guard let attempt = attempts[key] else { return }
    attempt.isPaused = false
    if case .running = attempt.phase { commands.resume(key) }
  }

  func stop(_ key: AttemptKey, _ reason: StopReason) {
    guard let attempt = attempts[key] else { return }
    switch attempt.phase {
    case .staging(let staging):
      files.abandon(staging)
      end(attempt, AttemptEnding(.cancelled, reason: reason.rawValue))
    case .sending(let sending):
      // Its work is done, and a drain leaves a moment for the result.
      guard reason != .draining else { return }
      files.abandon(sending)
      end(attempt, AttemptEnding(.cancelled, reason: reason.rawValue))
    case .running, nil: commands.stop(key, reason)
    }
  }

  func requestCheckpoint(_ key: AttemptKey) {
    if case .running? = attempts[key]?.phase { commands.requestCheckpoint(key) }
  }
}

@available(*, unavailable) extension FileAttempts: Sendable {}
