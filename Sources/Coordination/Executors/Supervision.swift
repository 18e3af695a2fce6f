import CoordinationCore
import Glibc
import Primitives
import Reactor

/// One command under supervision.
///
///     waiting ──run──▶ running ──the command ended──▶ sweeping ──no descendant left──▶ done
///        └── end of file, or it cannot be started ─────────────────────────────────────▲
final class Supervision {
  private enum Phase {
    case waiting
    case running(ChildProcess)
    /// The command is gone, and what it left behind is being killed.
    case sweeping(SupervisorReport, until: Instant)
    case done
  }

  private let loop: EventLoop
  private var phase = Phase.waiting
  private var requests = LineBuffer(maxLineBytes: 16 << 20)
  private var control: ByteStream?
  private var reports: PipeWriter?
  private var isPaused = false
  /// It was asked to end, politely; from then on it is not paused any more.
  private var isTerminating = false
  private var isKilled = false
  private var launch: SupervisorRequest.Launch?
  /// What is left of the time allowed, from `timeoutSince` on.
  private var timeLeft: Duration?
  private var timeoutSince = Instant.zero
  private lazy var leaseTimer = loop.makeTimer { [unowned self] in end(.leaseEnded) }
  private lazy var timeoutTimer = loop.makeTimer { [unowned self] in
    report(.timedOut)
    terminate()
  }
  private lazy var graceTimer = loop.makeTimer { [unowned self] in kill() }
  private lazy var sweepTimer = loop.makeTimer { [unowned self] in sweep() }

  /// How long to wait for processes that even SIGKILL does not end at once, stuck in the kernel.
  private static let sweepLimit: Duration = .seconds(10)
  private static let sweepInterval: Duration = .milliseconds(2)

  init(on loop: EventLoop) {
    self.loop = loop
  }

  func begin() throws(SystemError) {
    reports = PipeWriter(descriptor: STDOUT_FILENO, on: loop) { [self] _ in
      // A worker that reads no more is noticed at the other pipe; the command's fate is decided there.
      if case .done = phase { loop.stop() }
    }
    control = ByteStream(descriptor: STDIN_FILENO, on: loop) { [self] bytes in
      requests.append(bytes)
      while let line = requests.next() {
        handle(line)
      }
    } onEnd: { [self] in
      workerIsGone()
    }
    try loop.onSignal(SIGCHLD) { [self] in childChanged() }
  }

  private func handle(_ line: LineBuffer.Line) {
    if case .complete(let bytes) = line,
      let request = SupervisorRequest(line: String(decoding: bytes, as: UTF8.self))
    {
      return handle(request)
    }
    // Nothing else matters before there is a command; afterwards a newer worker's unknown word is no reason to end it.
    if case .waiting = phase {
      finish(.failed(exitCode: 126, "the supervising process was asked for what it cannot do"))
    }
  }

  private func handle(_ request: SupervisorRequest) {
    switch request {
    case .run(let launch): start(launch)
    case .lease(let deadline):
      if deadline == .distantFuture { leaseTimer.cancel() } else { leaseTimer.start(after: deadline - loop.now) }
    case .pause: pause()
    case .resume: resume()
    case .terminate:
      guard case .running = phase, !isTerminating, !isKilled else { return }
      report(.stopping)
      terminate()
    case .kill: end(.stopping)
    }
  }

  private func report(_ report: SupervisorReport) { reports?.write(Array(report.line.utf8)) }

  // MARK: Starting

  private func start(_ launch: SupervisorRequest.Launch) {
    guard case .waiting = phase, let program = launch.command.arguments.first else { return }
    self.launch = launch
    // What passes stays as it is, byte for byte; only the command sees what is added here. What the worker comes in with
    // is none of the command's business.
    launch.environment.apply()
    for (name, value) in launch.command.environment { unsafe setenv(name, value, 1) }
    if let directory = launch.command.workingDirectory, unsafe chdir(directory) != 0 {
      let cause = SystemError.message(of: errno)
      return finish(.failed(exitCode: 126, "cannot enter the working directory \(Self.shown(directory)): \(cause)"))
    }
    var child = ChildProcess.Configuration(
      executable: program, arguments: Array(launch.command.arguments.dropFirst()))
    child.standardOutput = .descriptor(SupervisorDescriptor.commandOutput)
    child.standardError = .descriptor(SupervisorDescriptor.commandError)
    child.extraDescriptors = [CommandVariable.controlDescriptorNumber: SupervisorDescriptor.controlLines]
    child.group = .new
    do {
      let process = try ChildProcess.spawn(child, on: loop) { [self] status in commandEnded(status) }
      phase = .running(process)
      report(.started(pid: process.pid))
      timeLeft = launch.timeout
      startTimeout()
    } catch {
      let cause = SystemError.message(of: error.code)
      finish(.failed(exitCode: error.code == ENOENT ? 127 : 126, "cannot run \(Self.shown(program)): \(cause)"))
    }
    // Held open here, they would hide from the worker that the command and its descendants closed them.
    for descriptor in [
      SupervisorDescriptor.commandOutput, SupervisorDescriptor.commandError, SupervisorDescriptor.controlLines,
    ] { close(descriptor) }
  }

  private static func shown(_ name: String) -> String {
    let text = name.escapedForDisplay
    return text.count > 200 ? "\(text.prefix(200))…" : text
  }

  // MARK: Standing still

  private func pause() {
    guard case .running(let process) = phase, !isPaused, !isTerminating, !isKilled else { return }
    isPaused = true
    timeoutTimer.cancel()
    timeLeft = timeLeft.map { max($0 - (loop.now - timeoutSince), .zero) }
    process.signalGroup(SIGSTOP)
    confirmPause(process.pid, until: loop.now + .seconds(1))
  }

  /// A process stops a moment after the signal was sent, so its word is waited for, unless the kernel keeps it busy.
  private func confirmPause(_ pid: Int32, until deadline: Instant) {
    guard case .running = phase, isPaused, !isKilled else { return }
    if let entry = ProcessTable.entry(of: pid), entry.isAlive, entry.state != "T", loop.now < deadline {
      loop.schedule(after: .milliseconds(1)) { [self] in confirmPause(pid, until: deadline) }
    } else {
      report(.paused)
    }
  }

  private func resume() {
    guard case .running(let process) = phase, isPaused else { return }
    isPaused = false
    process.signalGroup(SIGCONT)
    startTimeout()
    report(.resumed)
  }

  private func startTimeout() {
    guard let timeLeft else { return }
    timeoutSince = loop.now
    timeoutTimer.start(after: timeLeft)
  }

  // MARK: Ending

  private func workerIsGone() {
    guard case .waiting = phase else { return kill() }
    phase = .done
    loop.stop()
  }

  private func end(_ cause: SupervisorReport) {
    switch phase {
    case .waiting:
      report(cause)
      finish(.failed(exitCode: 126, "it was stopped before it was started"))
    case .running:
      guard !isKilled else { return }
      report(cause)
      kill()
    case .sweeping, .done: break
    }
  }

  private func terminate() {
    guard case .running(let process) = phase else { return }
    process.signalGroup(SIGTERM)
    // A stopped process would not even see the signal.
    process.signalGroup(SIGCONT)
    isPaused = false
    isTerminating = true
    timeoutTimer.cancel()
    if !graceTimer.isActive { graceTimer.start(after: launch?.terminationGrace ?? .zero) }
  }

  private func kill() {
    guard case .running(let process) = phase else { return }
    isKilled = true
    process.signalGroup(SIGKILL)
    // Those that left the group and were orphaned since.
    for pid in ProcessTable.livingChildren() { _ = Glibc.kill(pid, SIGKILL) }
  }

  private func commandEnded(_ status: ExitStatus) {
    guard case .running(let process) = phase else { return }
    // Not reaped yet, so the group's number is still its own.
    process.signalGroup(SIGKILL)
    let report: SupervisorReport =
      switch status {
      case .exited(let code): .exited(code)
      case .signalled(let number): .signalled(number)
      }
    phase = .sweeping(report, until: loop.now + Self.sweepLimit)
    for timer in [leaseTimer, timeoutTimer, graceTimer] { timer.cancel() }
    loop.afterTurn { [self] in sweep() }
  }

  private func childChanged() {
    switch phase {
    case .running(let process): _ = ProcessTable.reapChildren(except: process.pid)
    case .sweeping: sweep()
    case .waiting, .done: break
    }
  }

  /// Kills the children we have; theirs then become ours and are killed next, until none is left.
  private func sweep() {
    guard case .sweeping(let report, let deadline) = phase else { return }
    guard ProcessTable.reapChildren(), loop.now < deadline else { return finish(report) }
    for pid in ProcessTable.livingChildren() { _ = Glibc.kill(pid, SIGKILL) }
    sweepTimer.start(after: Self.sweepInterval)
  }

  private func finish(_ last: SupervisorReport) {
    phase = .done
    report(last)
    guard reports?.isOpen == true else { return loop.stop() }
    reports?.close()
  }
}

@available(*, unavailable) extension Supervision: Sendable {}
