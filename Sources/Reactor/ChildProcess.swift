import CLibEv
import Glibc

/// How a child process ended.
public enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
  /// It returned this status, 0 to 255.
  case exited(Int32)
  /// This signal ended it.
  case signalled(Int32)

  public var description: String {
    switch self {
    case .exited(let status): "exit status \(status)"
    case .signalled(let number): "signal \(number)"
    }
  }
}

/// A child process watched by a loop.
///
/// Its exit is learned through a pidfd, so no signal handler is involved and no other child is disturbed. The exit and
/// the ends of its output pipes are reported as they happen, in either order: a grandchild may hold a pipe open long
/// after the exit. Held by the loop until the exit was reported. A loop that ends leaves its children running.
@safe
public final class ChildProcess {
  public let pid: Int32
  /// The writing end of the child's standard input, when configured as `.pipe`.
  public let standardInput: PipeWriter?
  /// The reading ends of its outputs, when configured as `.pipe`: to pause them, or to close them early.
  public let standardOutput: ByteStream?
  public let standardError: ByteStream?
  /// The reading ends of `extraOutputs` configured as `.pipe`, by the child's descriptor numbers.
  public let extraOutputs: [Int32: ByteStream]
  /// How it ended; nil while it runs.
  public private(set) var exitStatus: ExitStatus?

  private let loop: EventLoop
  private let pidfd: Int32
  private let leadsGroup: Bool
  private var watcher: IOWatcher?
  private var onExit: ((ExitStatus) -> Void)?
  private var slot: Int?
  private var openPipes = 0
  /// The exited child stays a zombie until its pipes ended too: its number, and that of its group, cannot be given to
  /// strangers meanwhile, so `signalGroup` still reaches what it left behind and nobody else.
  private var isReaped = false

  /// Starts a program; call on the loop.
  ///
  /// `onExit` comes once, never from within this call. A program that cannot be started is an error at once: `ENOENT`
  /// (program or working directory), `EACCES`, `ENOEXEC`, `E2BIG`, `EMFILE`, `EAGAIN`.
  public static func spawn(
    _ configuration: Configuration, on loop: EventLoop, onExit: @escaping (ExitStatus) -> Void
  ) throws(SystemError) -> ChildProcess {
    loop.preconditionOnLoop()
    guard !loop.hasEnded else {
      throw SystemError(call: "spawn", subject: configuration.executable, code: ECANCELED, detail: "the loop has ended")
    }
    var pipes = ChildPipes()
    do throws(SystemError) {
      let launch = try Launch(configuration, &pipes)
      let pid = try launch.start()
      let pidfd = lifeline_pidfd_open(pid)
      guard pidfd >= 0 else {
        let code = errno
        kill(pid, SIGKILL)
        // A killed child is reaped without delay; no status is wanted.
        while waitpid(pid, nil, 0) < 0, errno == EINTR {}
        throw SystemError(
          call: "pidfd_open", subject: configuration.executable, code: code, detail: System.advice(for: code))
      }
      pipes.closeChildEnds()
      return ChildProcess(
        pid: pid, pidfd: pidfd, leadsGroup: configuration.group != .inherited, configuration, pipes, on: loop,
        onExit: onExit)
    } catch {
      pipes.closeAll()
      throw error
    }
  }

  private init(
    pid: Int32, pidfd: Int32, leadsGroup: Bool, _ configuration: Configuration, _ pipes: ChildPipes,
    on loop: EventLoop, onExit: @escaping (ExitStatus) -> Void
  ) {
    self.pid = pid
    self.pidfd = pidfd
    self.leadsGroup = leadsGroup
    self.loop = loop
    self.onExit = onExit
    standardInput = pipes.inputWriter.map { PipeWriter(descriptor: $0, on: loop) }
    standardOutput = configuration.standardOutput.reading(pipes.outputReader, on: loop)
    standardError = configuration.standardError.reading(pipes.errorReader, on: loop)
    var streams: [Int32: ByteStream] = [:]
    for (number, output) in configuration.extraOutputs {
      streams[number] = output.reading(pipes.extraReaders[number], on: loop)
    }
    extraOutputs = streams
    for stream in [standardOutput, standardError].compactMap({ $0 }) + streams.values {
      openPipes += 1
      stream.onGone = { [weak self] in self?.pipeIsGone() }
    }
    slot = loop.resources.insert(self)
    let watcher = unsafe IOWatcher(.read, of: pidfd, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withOwner(watcher, as: ChildProcess.self) { $0.exited() }
    }
    self.watcher = watcher
    watcher.start()
  }

  deinit {
    // Nobody can ask for signals any more, so the zombie has served its purpose.
    if exitStatus != nil { reap() }
    watcher?.stop()
    System.close(pidfd)
  }

  /// Sends a signal to the child; false when it has already ended. Call on the loop.
  @discardableResult
  public func signal(_ number: Int32) -> Bool {
    loop.preconditionOnLoop()
    guard exitStatus == nil else { return false }
    return lifeline_pidfd_send_signal(pidfd, number) == 0
  }

  /// Sends a signal to the child's whole group, orphaned grandchildren included; false when nobody is left to get it.
  ///
  /// Works from the start until the child exited *and* its output pipes ended, hence also within `onExit`: that is the
  /// place to kill what a child left behind. With `.inherited` it signals the child alone. Call on the loop.
  @discardableResult
  public func signalGroup(_ number: Int32) -> Bool {
    loop.preconditionOnLoop()
    guard leadsGroup else { return signal(number) }
    guard !isReaped else { return false }
    return kill(-pid, number) == 0
  }

  private func exited() {
    var code: Int32 = 0
    var status: Int32 = 0
    // SAFETY: the call fills the locals it is given.
    let result = unsafe lifeline_pidfd_status(pidfd, 1, &code, &status)
    guard result != 0 else { return }
    watcher?.stop()
    // ECHILD: somebody else in the process reaped it, or SIGCHLD is ignored. It is gone, its status is lost.
    let ended: ExitStatus =
      if result < 0 { .exited(255) } else if code == LIFELINE_CLD_EXITED { .exited(status) } else { .signalled(status) }
    if result < 0 { isReaped = true }
    exitStatus = ended
    standardInput?.close()
    let onExit = onExit.take()
    onExit?(ended)
    reapIfDone()
    if let slot = slot.take() { loop.letGo(resource: slot) }
  }

  private func pipeIsGone() {
    openPipes -= 1
    reapIfDone()
  }

  private func reapIfDone() {
    if exitStatus != nil, onExit == nil, openPipes == 0 { reap() }
  }

  private func reap() {
    guard !isReaped else { return }
    isReaped = true
    var code: Int32 = 0
    var status: Int32 = 0
    // SAFETY: as in exited.
    _ = unsafe lifeline_pidfd_status(pidfd, 0, &code, &status)
  }
}

extension ChildProcess: LoopResource {
  func loopDidEnd() {
    watcher?.stop()
    onExit = nil
    if let slot = slot.take() { loop.letGo(resource: slot) }
  }
}

@available(*, unavailable) extension ChildProcess: Sendable {}
