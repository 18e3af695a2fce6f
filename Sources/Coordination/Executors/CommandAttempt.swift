import CoordinationCore
import Glibc
import Primitives
import Reactor
import Storage

/// One command as its worker sees it: a supervising process, three pipes from the command, and an ending.
///
/// It has ended once the supervising process has said its last word and everything in the pipes was handed over.
final class CommandAttempt {
  private let command: Command
  private let timeout: Duration?
  private let reporter: AttemptReporter
  private let folder: String
  private let workingDirectory: WorkingDirectory?
  private let configuration: CommandExecutor.Configuration
  private let loop: EventLoop
  private let log: (LogEntry) -> Void

  private var onEnd: (() -> Void)?
  private var supervisor: ChildProcess?
  private var reports = LineBuffer(maxLineBytes: 64 << 10)
  private var outputs: [CommandOutput] = []
  private var controlLines: CommandControl?
  private var stopReason: StopReason?
  /// What it did that no command may, for which it is ended.
  private var offence: String?
  /// Why the supervising process ended the command, in its own words, and its last word.
  private var cause: SupervisorReport?
  private var lastWord: SupervisorReport?
  private var supervisorStatus: ExitStatus?
  private var supervisorIsLost = false
  private var reportsEnded = false
  private var sweepPasses = 0
  private var cleanPasses = 0
  private var isSweepScheduled = false
  private lazy var drainTimer = loop.makeTimer { [weak self] in self?.drainedEnough() }
  private lazy var patienceTimer = loop.makeTimer { [weak self] in self?.supervisorIsStuck() }

  init(
    _ command: Command, timeout: Duration?, _ reporter: AttemptReporter, folder: String,
    workingDirectory: WorkingDirectory?, _ configuration: CommandExecutor.Configuration, on loop: EventLoop,
    log: @escaping (LogEntry) -> Void
  ) {
    self.command = command
    self.timeout = timeout
    self.reporter = reporter
    self.folder = folder
    self.workingDirectory = workingDirectory
    self.configuration = configuration
    self.loop = loop
    self.log = log
  }

  // MARK: Starting

  /// - Parameter onEnd: called once, just before the reporter hears of the end.
  func start(supervisor path: String, lease: Instant?, onEnd: @escaping () -> Void) {
    self.onEnd = onEnd
    var pipes: [Pipe] = []
    do {
      for _ in 0..<3 { pipes.append(try Pipe()) }
      var child = ChildProcess.Configuration(executable: path, arguments: ["supervise", "\(reporter.key)"])
      child.standardInput = .pipe
      child.standardOutput = .pipe(onBytes: { [self] in heard($0) }, onEnd: { [self] in heardAll() })
      child.standardError = .inherit
      child.extraDescriptors = [
        SupervisorDescriptor.commandOutput: pipes[0].writer, SupervisorDescriptor.commandError: pipes[1].writer,
        SupervisorDescriptor.controlLines: pipes[2].writer,
      ]
      child.group = .newSession
      supervisor = try ChildProcess.spawn(child, on: loop) { [self] status in supervisorEnded(status) }
    } catch {
      for pipe in pipes {
        pipe.closeReader()
        pipe.closeWriter()
      }
      lastWord = .failed(exitCode: 126, "the supervising process could not be started: \(error)")
      return loop.afterTurn { [self] in finish() }
    }
    for pipe in pipes { pipe.closeWriter() }
    let readers = pipes.map(\.reader)
    outputs = zip([OutputStream.stdout, .stderr], readers).map { stream, reader in
      CommandOutput(
        stream, descriptor: reader, maxBytes: configuration.maxOutputBytes, reporter, on: loop,
        onEnd: { [self] in finishIfDrained() })
    }
    controlLines = CommandControl(
      descriptor: readers[2], maxCheckpointBytes: configuration.maxCheckpointBytes, reporter, on: loop, log: log,
      onEnd: { [self] in finishIfDrained() })
    // A lease that has passed belongs to the time before this attempt; the one it runs under is about to be told.
    if let lease, lease > loop.now { leaseRenewed(until: lease) }
    var command = command
    command.environment[CommandVariable.taskID] = reporter.key.taskID.text
    command.environment[CommandVariable.attempt] = "\(reporter.key.attempt)"
    command.environment[CommandVariable.controlDescriptor] = "\(CommandVariable.controlDescriptorNumber)"
    command.environment[CommandVariable.checkpointFile] = AttemptDirectory.checkpointFile(in: folder)
    if let workingDirectory {
      command.workingDirectory = workingDirectory.path
      command.environment[CommandVariable.workingDirectory] = workingDirectory.path
    }
    command.environment[JUnitFile.variable] = JUnitFile.path(in: folder)
    send(
      .run(
        .init(
          command: command, timeout: timeout, terminationGrace: configuration.terminationGrace,
          environment: configuration.passedEnvironment)))
  }

  private func send(_ request: SupervisorRequest) { supervisor?.standardInput?.write(Array(request.line.utf8)) }

  // MARK: What the worker wants

  func pause() { send(.pause) }
  func resume() { send(.resume) }
  func leaseRenewed(until deadline: Instant) { send(.lease(until: deadline)) }

  func stop(_ reason: StopReason) {
    let isPolite = reason == .cancelled || reason == .draining
    // Being asked again is news only when it must end at once now.
    guard stopReason == nil || !isPolite else { return }
    stopReason = reason
    send(isPolite ? .terminate : .kill)
    let grace = isPolite ? configuration.terminationGrace : .zero
    patienceTimer.start(after: grace + configuration.supervisorPatience)
  }

  /// Its working directory holds more than it may: it is ended at once, before it fills the disk.
  func exceeded(_ problem: String) {
    guard offence == nil, stopReason == nil, lastWord == nil else { return }
    offence = problem
    log(LogEntry(.warning, "a command is ended", ["attempt": "\(reporter.key)", "reason": problem]))
    send(.kill)
    patienceTimer.start(after: configuration.supervisorPatience)
  }

  func roomAvailable() {
    controlLines?.roomAvailable()
    for output in outputs { output.roomAvailable() }
  }

  // MARK: What the supervising process says

  private func heard(_ bytes: RawSpan) {
    reports.append(bytes)
    while let line = reports.next() {
      guard case .complete(let text) = line,
        let report = SupervisorReport(line: String(decoding: text, as: UTF8.self))
      else { continue }
      handle(report)
    }
  }

  private func handle(_ report: SupervisorReport) {
    switch report {
    case .started:
      reporter.started()
      controlLines?.begin()
      for output in outputs { output.begin() }
    case .paused: reporter.paused()
    case .resumed: reporter.resumed()
    case .stopping, .leaseEnded, .timedOut: cause = cause ?? report
    case .failed, .exited, .signalled:
      lastWord = lastWord ?? report
      drain()
    }
  }

  private func supervisorEnded(_ status: ExitStatus) {
    supervisorStatus = status
    // It says nothing after an orderly end, and after another one it may have left its command behind. Its number is
    // still taken, since it is not reaped before this returns, so the session is its own.
    if status != .exited(0) { Leftovers(session: supervisor?.pid, folder: folder).kill() }
    finishIfSupervisorIsLost()
  }

  private func heardAll() {
    reportsEnded = true
    finishIfSupervisorIsLost()
  }

  private func supervisorIsStuck() {
    guard lastWord == nil else { return }
    log(LogEntry(.warning, "a supervising process does not answer and is killed", ["attempt": "\(reporter.key)"]))
    supervisor?.signal(SIGKILL)
  }

  private func finishIfSupervisorIsLost() {
    guard lastWord == nil, reportsEnded, let status = supervisorStatus, onEnd != nil else { return }
    sweepPasses += 1
    cleanPasses = Leftovers(folder: folder).kill() ? cleanPasses + 1 : 0
    guard cleanPasses >= Leftovers.cleanPassesNeeded || sweepPasses > Leftovers.maxPasses else {
      guard !isSweepScheduled else { return }
      isSweepScheduled = true
      loop.schedule(after: .milliseconds(2)) { [self] in
        isSweepScheduled = false
        finishIfSupervisorIsLost()
      }
      return
    }
    let how =
      switch status {
      case .exited(let code): "ended with \(ExitStatus.exited(code))"
      case .signalled(let number): "was killed by \(signalDescription(number))"
      }
    supervisorIsLost = true
    lastWord = .failed(exitCode: 126, "its supervising process \(how)")
    drain()
  }

  // MARK: Ending

  /// Nothing is left that could write; what the pipes still hold is little, so it is read whether there is room or not.
  private func drain() {
    controlLines?.drain()
    for output in outputs { output.drain() }
    drainTimer.start(after: configuration.drainLimit)
    finishIfDrained()
  }

  private func drainedEnough() {
    log(
      LogEntry(
        .warning, "a command has ended, but somebody still holds its pipes; they are closed",
        ["attempt": "\(reporter.key)"]))
    finish()
  }

  private func finishIfDrained() {
    guard lastWord != nil, controlLines?.hasEnded ?? true, outputs.allSatisfy(\.hasEnded) else { return }
    finish()
  }

  private func finish() {
    guard let onEnd = onEnd.take() else { return }
    drainTimer.cancel()
    patienceTimer.cancel()
    controlLines?.close()
    for output in outputs { output.close() }
    supervisor?.standardInput?.close()
    var ending = ending()
    if ending.outcome != .cancelled { ending.result = JUnitFile.result(in: folder) }
    removeFolder()
    let reporter = reporter
    guard cause == .leaseEnded else {
      onEnd()
      return reporter.ended(ending)
    }
    // In the next turn even the loop's time, read once a turn, has passed the deadline: the worker sees for itself that
    // it lost the lease, before it hears of this end.
    loop.schedule(after: .milliseconds(1)) {
      onEnd()
      reporter.ended(ending)
    }
  }

  private func removeFolder() {
    let folder = folder
    // A command may leave a million files, and the loop has better things to do meanwhile.
    guard workingDirectory != nil, (try? BackgroundThread.start { FileTree.remove(folder) }) != nil else {
      return FileTree.remove(folder)
    }
  }

  private func ending() -> AttemptEnding {
    var ending = AttemptEnding(.failed)
    switch lastWord {
    case .failed(let code, let text):
      ending.exitCode = Int(code)
      ending.reason = text
    case .exited(let status):
      ending.exitCode = Int(status)
      if status == 0 { ending.outcome = .completed } else { ending.reason = "exit status \(status)" }
    case .signalled(let number):
      ending.exitCode = 128 + Int(number)
      ending.reason = "killed by \(signalDescription(number))"
    default: break
    }
    switch cause {
    case .timedOut:
      ending.outcome = .failed
      ending.reason = "timed out after \(describe(timeout ?? .zero))"
    case .leaseEnded:
      ending.outcome = .cancelled
      ending.reason = StopReason.leaseExpired.rawValue
    case .stopping where offence != nil && stopReason == nil:
      ending.outcome = .failed
      ending.reason = offence
    case .stopping:
      ending.outcome = .cancelled
      ending.reason = (stopReason ?? .cancelled).rawValue
    default:
      // That the supervising process was killed says nothing about the command: the attempt is given up, not failed,
      // and whoever wants the task done may have it run again.
      if supervisorIsLost, case .signalled = supervisorStatus {
        ending.outcome = .cancelled
        ending.exitCode = nil
        ending.reason = stopReason?.rawValue ?? ending.reason
      }
    }
    let kept = outputs.map { $0.kept() }
    if kept.count == 2 {
      ending.output = AttemptOutput(
        stdout: kept[0].bytes, stderr: kept[1].bytes, droppedBytes: kept[0].droppedBytes + kept[1].droppedBytes)
    }
    return ending
  }
}

/// `3 s`, `0.5 s`.
func describe(_ duration: Duration) -> String {
  let seconds = duration.inSeconds
  return Int64(exactly: seconds).map { "\($0) s" } ?? "\(seconds) s"
}

@available(*, unavailable) extension CommandAttempt: Sendable {}
