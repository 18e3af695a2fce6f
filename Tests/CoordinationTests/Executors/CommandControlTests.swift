import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

@Suite(.timeLimit(.minutes(2))) struct CommandControlTests {
  // MARK: Stopping

  @Test func `a cancelled command is asked politely and may tidy up`() throws {
    let recorder = try execute(shell("trap 'echo tidy; exit 0' TERM; echo ready; sleep 60 & wait")) { run in
      run.when({ run.recorder.lines == ["ready"] }) { run.executor.stop(run.key, .cancelled) }
    }.recorder
    #expect(recorder.ending?.outcome == .cancelled)
    #expect(recorder.ending?.reason == "cancelled on request")
    #expect(recorder.keptOutput == "ready\ntidy\n")
  }

  @Test func `a cancelled command that ignores the request is killed after the grace`() throws {
    let ending = try execute(
      shell("trap '' TERM; echo ready; while :; do sleep 60; done"),
      configure: { $0.terminationGrace = .milliseconds(100) }
    ) { run in
      run.when({ run.recorder.lines == ["ready"] }) { run.executor.stop(run.key, .cancelled) }
    }.recorder.ending
    #expect(ending?.outcome == .cancelled)
    #expect(ending?.exitCode == 137)
  }

  @Test(arguments: [StopReason.superseded, .leaseExpired, .stopping])
  func `any other reason ends a command at once`(reason: StopReason) throws {
    let ending = try execute(
      shell("trap '' TERM; echo ready; while :; do sleep 60; done"), configure: { $0.terminationGrace = .seconds(600) }
    ) { run in
      run.when({ run.recorder.lines == ["ready"] }) { run.executor.stop(run.key, reason) }
    }.recorder.ending
    #expect(ending?.outcome == .cancelled)
    #expect(ending?.reason == reason.rawValue)
  }

  @Test func `a polite request that takes too long can be followed by a kill`() throws {
    let ending = try execute(
      shell("trap '' TERM; echo ready; while :; do sleep 60; done"), configure: { $0.terminationGrace = .seconds(600) }
    ) { run in
      run.when({ run.recorder.lines == ["ready"] }) {
        run.executor.stop(run.key, .cancelled)
        run.executor.stop(run.key, .stopping)
      }
    }.recorder.ending
    #expect(ending?.outcome == .cancelled)
  }

  @Test func `a command that ended by itself before it was stopped is not called cancelled`() throws {
    let run = try execute(shell("exit 0")) { run in
      run.recorder.onEvent = { event in
        // Its supervising process may have reported the exit already; whichever was first decides.
        if case .attemptEnded = event { run.executor.stop(run.key, .cancelled) }
      }
    }
    #expect(run.recorder.ending?.outcome == .completed)
  }

  // MARK: Pausing

  @Test func `a paused command really stands still, and goes on when resumed`() throws {
    var states: [Character?] = []
    let recorder = try execute(shell("echo $$; read line < /dev/null; while :; do :; done")) { run in
      let state = { ProcessTable.entry(of: Int32(run.recorder.lines[0]) ?? 0)?.state }
      run.when({ run.recorder.lines.count == 1 }) { run.executor.pause(run.key) }
      run.when({ run.recorder.hasPaused }) {
        states.append(state())
        run.executor.resume(run.key)
      }
      run.when({ run.recorder.hasResumed }) {
        run.when({ state() != "T" }) { run.executor.stop(run.key, .cancelled) }
      }
    }.recorder
    #expect(states == ["T"])
    #expect(recorder.ending?.outcome == .cancelled)
  }

  @Test func `a command can be paused before it has started`() throws {
    let run = try execute(shell("echo $$; exec sleep 60")) { run in
      run.loop.afterTurn { run.executor.pause(run.key) }
      run.when({ run.recorder.hasPaused }) { run.executor.stop(run.key, .stopping) }
    }
    let words = run.recorder.events.filter { if case .attemptWrote = $0 { false } else { true } }
    #expect(words.prefix(2) == [.attemptStarted(run.key), .attemptPaused(run.key)])
  }

  @Test func `a paused command that is cancelled wakes up to tidy up`() throws {
    let recorder = try execute(shell("trap 'echo tidy; exit 0' TERM; echo ready; sleep 60 & wait")) { run in
      run.when({ run.recorder.lines == ["ready"] }) { run.executor.pause(run.key) }
      run.when({ run.recorder.hasPaused }) { run.executor.stop(run.key, .cancelled) }
    }.recorder
    #expect(recorder.ending?.outcome == .cancelled)
    #expect(recorder.keptOutput == "ready\ntidy\n")
  }

  @Test func `standing still does not use up the time allowed`() throws {
    let ending = try execute(shell("sleep 60"), timeout: .milliseconds(400)) { run in
      run.when({ run.recorder.events == [.attemptStarted(run.key)] }) { run.executor.pause(run.key) }
      run.when({ run.recorder.hasPaused }) {
        run.loop.schedule(after: .milliseconds(600)) { run.executor.stop(run.key, .cancelled) }
      }
    }.recorder.ending
    #expect(ending?.outcome == .cancelled)
  }

  // MARK: The lease

  @Test func `a command ends with its lease when that is not renewed`() throws {
    let ending = try execute(shell("sleep 60")) { run in
      run.executor.leaseRenewed(until: run.loop.now + .milliseconds(300))
    }.recorder.ending
    #expect(ending?.outcome == .cancelled)
    #expect(ending?.reason == StopReason.leaseExpired.rawValue)
  }

  @Test func `a renewed lease keeps a command running`() throws {
    // The lease would end before the command if it were not renewed, and is renewed long before it ends.
    let ending = try execute(shell("sleep 5; exit 7")) { run in
      func renew() {
        guard run.recorder.ending == nil else { return }
        run.executor.leaseRenewed(until: run.loop.now + .seconds(4))
        run.loop.schedule(after: .milliseconds(50)) { renew() }
      }
      renew()
    }.recorder.ending
    #expect(ending?.exitCode == 7)
  }

  @Test func `a lease without end is none`() throws {
    let ending = try execute(shell("exit 7")) { run in run.executor.leaseRenewed(until: .distantFuture) }.recorder
      .ending
    #expect(ending?.exitCode == 7)
  }

  // MARK: Trouble with the supervising process

  @Test func `when the supervising process is killed its command's processes are found and killed`() throws {
    let run = try execute(
      shell("setsid sleep 600 & echo $!; (setsid sh -c 'echo $$; exec sleep 600' &); echo $$; echo $PPID; sleep 600")
    ) { run in
      run.when({ run.recorder.lines.count == 4 }) {
        guard let supervisor = run.recorder.lines.compactMap({ Int32($0) }).first(where: isSupervisor) else { return }
        kill(supervisor, SIGKILL)
      }
    }
    #expect(run.recorder.ending?.outcome == .cancelled, "given up, so that it can be done elsewhere")
    #expect(run.recorder.ending?.reason == "its supervising process was killed by signal 9 (SIGKILL)")
    #expect(run.recorder.lines.count == 4)
    for line in run.recorder.lines { #expect(!isAlive(try #require(Int32(line)))) }
  }

  @Test func `a supervising process that does not answer is killed with its command`() throws {
    let run = try execute(
      shell("echo $$; echo $PPID; sleep 600"), configure: { $0.supervisorPatience = .milliseconds(200) }
    ) { run in
      run.when({ run.recorder.lines.count == 2 }) {
        if let supervisor = Int32(run.recorder.lines[1]) { kill(supervisor, SIGSTOP) }
        run.executor.stop(run.key, .superseded)
      }
    }
    #expect(run.recorder.ending?.outcome == .cancelled)
    for line in run.recorder.lines { #expect(!isAlive(try #require(Int32(line)))) }
    #expect(run.logged.count == 1)
  }

  private func isSupervisor(_ pid: Int32) -> Bool { ProcessTable.entry(of: pid)?.parent == getpid() }

  // MARK: Several attempts

  @Test func `a newer attempt of a task begins only when the older one has ended`() throws {
    let folder = TemporaryDirectory()
    var configuration = CommandExecutor.Configuration()
    configuration.supervisor = try lifelineProgram()
    configuration.temporaryDirectory = folder.path
    let id = try TaskID("task")
    let older = AttemptRecorder(AttemptKey(id, 1))
    let newer = AttemptRecorder(AttemptKey(id, 2))
    let executor = CommandExecutor(configuration)
    var olderWasAlive = true
    try withLoop { loop in
      func start(_ recorder: AttemptRecorder, _ script: String) {
        let specification = TaskSpecification(name: "t", work: .command(shell(script)))
        executor.start(
          Assignment(taskID: id, attempt: recorder.key.attempt, specification: specification),
          reporter: recorder.reporter(), on: loop)
      }
      start(older, "echo $$; exec sleep 600")
      loop.when({ older.lines.count == 1 }) { start(newer, "echo hello") }
      newer.onEvent = { event in
        if case .attemptStarted = event { olderWasAlive = older.lines.first.flatMap { Int32($0) }.map(isAlive) ?? true }
        if case .attemptEnded = event { loop.stop() }
      }
    }
    #expect(older.ending?.reason == StopReason.superseded.rawValue)
    #expect(newer.ending?.outcome == .completed)
    #expect(!olderWasAlive)
    #expect(executor.activeAttempts.isEmpty)
  }

  @Test func `many commands run side by side`() throws {
    let folder = TemporaryDirectory()
    var configuration = CommandExecutor.Configuration()
    configuration.supervisor = try lifelineProgram()
    configuration.temporaryDirectory = folder.path
    let recorders = try (0..<16).map { AttemptRecorder(AttemptKey(try TaskID("t\($0)"), 1)) }
    try withLoop(limit: .seconds(30)) { loop in
      let executor = CommandExecutor(configuration)
      for (index, recorder) in recorders.enumerated() {
        let specification = TaskSpecification(name: "t", work: .command(shell("echo \(index); exit \(index)")))
        executor.start(
          Assignment(taskID: recorder.key.taskID, attempt: 1, specification: specification),
          reporter: recorder.reporter(), on: loop)
      }
      loop.when({ recorders.allSatisfy { $0.ending != nil } }, limit: .seconds(30)) {
        #expect(executor.activeAttempts.isEmpty)
        loop.stop()
      }
    }
    #expect(recorders.map(\.keptOutput) == (0..<16).map { "\($0)\n" })
    #expect(recorders.map { $0.ending?.exitCode } == (0..<16).map { $0 })
  }
}
