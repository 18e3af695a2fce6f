import CoordinationCore
import Primitives
import TestSupport
import Testing

@testable import Coordination

@Suite(.timeLimit(.minutes(2))) struct CommandEndingTests {
  @Test func `a command that exits with 0 is completed, with both outputs kept and streamed`() throws {
    let recorder = try execute(shell("echo out; echo err >&2")).recorder
    #expect(recorder.ending?.outcome == .completed)
    #expect(recorder.ending?.exitCode == 0)
    #expect(recorder.ending?.reason == nil)
    #expect(recorder.keptOutput == "out\n" && recorder.keptErrors == "err\n")
    #expect(recorder.stdout == "out\n" && recorder.streamed[.stderr] == Array("err\n".utf8))
    #expect(recorder.events.first == .attemptStarted(recorder.key))
    #expect(recorder.events.count { if case .attemptEnded = $0 { true } else { false } } == 1)
  }

  @Test(arguments: [
    ("exit 3", 3, "exit status 3"), ("kill -9 $$", 137, "killed by signal 9 (SIGKILL)"),
    ("kill -TERM $$", 143, "killed by signal 15 (SIGTERM)"),
  ])
  func `a command that ends badly has failed, and the reason says how`(
    script: String, exitCode: Int, reason: String
  ) throws {
    let ending = try execute(shell(script)).recorder.ending
    #expect(ending?.outcome == .failed)
    #expect(ending?.exitCode == exitCode)
    #expect(ending?.reason == reason)
  }

  @Test(arguments: [
    (Command(["no-such-program"]), 127, "cannot run no-such-program: No such file or directory"),
    (Command(["/etc/passwd"]), 126, "cannot run /etc/passwd: Permission denied"),
    (Command(["/tmp"]), 126, "cannot run /tmp: Permission denied"),
    (
      Command(["true"], workingDirectory: "/no/such/folder"), 126,
      "cannot enter the working directory /no/such/folder: No such file or directory"
    ),
  ])
  func `a command that cannot be started has failed, and the reason says why`(
    command: Command, exitCode: Int, reason: String
  ) throws {
    let recorder = try execute(command).recorder
    #expect(recorder.ending?.outcome == .failed)
    #expect(recorder.ending?.exitCode == exitCode)
    #expect(recorder.ending?.reason == reason)
    #expect(!recorder.events.contains(.attemptStarted(recorder.key)))
  }

  @Test func `a command whose time is up is terminated and has failed`() throws {
    let recorder = try execute(shell("trap 'echo tidy; exit 0' TERM; sleep 60 & wait"), timeout: .milliseconds(300))
      .recorder
    #expect(recorder.ending?.outcome == .failed)
    #expect(recorder.ending?.reason == "timed out after 0.3 s")
    #expect(recorder.keptOutput == "tidy\n")
  }

  @Test func `a command that ignores the end of its time is killed after the grace`() throws {
    let ending = try execute(
      shell("trap '' TERM; while :; do sleep 60; done"), timeout: .milliseconds(100),
      configure: { $0.terminationGrace = .milliseconds(100) }
    ).recorder.ending
    #expect(ending?.outcome == .failed)
    #expect(ending?.exitCode == 137)
    #expect(ending?.reason == "timed out after 0.1 s")
  }

  @Test func `children left in the background are ended with their command`() throws {
    let recorder = try execute(shell("sleep 600 & echo $!; exit 0")).recorder
    #expect(recorder.ending?.outcome == .completed)
    let pid = try #require(Int32(recorder.lines[0]))
    #expect(!isAlive(pid))
  }

  @Test func `children that left the command's group and session are ended with it too`() throws {
    let recorder = try execute(
      shell("setsid sh -c 'setsid sleep 600 & echo $!; echo $$; exec sleep 600' & read gone < /dev/zero & sleep 0.2")
    ).recorder
    #expect(recorder.ending?.outcome == .completed)
    #expect(recorder.lines.count == 2)
    for line in recorder.lines { #expect(!isAlive(try #require(Int32(line)))) }
  }

  @Test func `a child that holds the control descriptor open does not delay the end`() throws {
    let recorder = try execute(shell("setsid sleep 600 & echo '{\"checkpoint\": 1}' >&$LIFELINE_CONTROL_FD")).recorder
    #expect(recorder.ending?.outcome == .completed)
    #expect(recorder.checkpoints == [1])
  }

  @Test func `without a program to supervise it a command fails with a reason that names the setting`() throws {
    let ending = try execute(shell("true"), configure: { $0.supervisor = nil }).recorder.ending
    #expect(ending?.outcome == .failed)
    #expect(ending?.reason?.contains("CommandExecutor.Configuration.supervisor") == true)
  }

  @Test(arguments: ["/no/such/lifeline", "/bin/true"])
  func `a program that cannot supervise fails the attempt`(path: String) throws {
    let ending = try execute(shell("true"), configure: { $0.supervisor = path }).recorder.ending
    #expect(ending?.outcome == .failed)
    #expect(ending?.reason?.contains("supervising process") == true)
  }
}
