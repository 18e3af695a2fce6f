import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// What a command finds, says and writes.
@Suite(.timeLimit(.minutes(2))) struct CommandInterfaceTests {
  // MARK: Environment

  @Test func `a command gets the worker's environment, its own additions and the names of its attempt`() throws {
    let command = Command(
      [
        "sh", "-c",
        "echo $PATH; echo \"$COLOUR\"; echo $LIFELINE_TASK_ID; echo $LIFELINE_ATTEMPT; echo $LIFELINE_CONTROL_FD",
      ],
      environment: ["COLOUR": "blue\tand green"])
    let path = String(cString: getenv("PATH"))
    #expect(try execute(command).recorder.lines == [path, "blue\tand green", "task", "2", "3"])
  }

  @Test func `what is added to the environment reaches only the command`() throws {
    let command = Command(
      [
        "sh", "-c",
        "tr '\\0' '\\n' < /proc/$PPID/environ | grep -c SECRET; tr '\\0' ' ' < /proc/$PPID/cmdline | grep -c SECRET",
      ],
      environment: ["SECRET": "42"])
    #expect(try execute(command).recorder.lines == ["0", "0"])
  }

  @Test func `a command runs in the folder it names, reads nothing and holds no descriptor but its own`() throws {
    let command = Command(["sh", "-c", "pwd; cat; ls /proc/self/fd | tr '\\n' ' '"], workingDirectory: "/usr")
    #expect(try execute(command).recorder.stdout == "/usr\n0 1 2 3 4 ")  // 4 is the folder that ls reads.
  }

  @Test func `a long command line and a long environment arrive whole`() throws {
    let long = String(repeating: "x", count: 100_000)
    let recorder = try execute(
      Command(["sh", "-c", "printf %s \"$1$LONG\" | wc -c", "sh", long], environment: ["LONG": long])
    ).recorder
    #expect(recorder.keptOutput == "200000\n")
  }

  // MARK: Checkpoints

  @Test func `a first attempt finds the name of a checkpoint file, but no file`() throws {
    let recorder = try execute(
      shell("test -n \"$LIFELINE_CHECKPOINT_FILE\" && test ! -e \"$LIFELINE_CHECKPOINT_FILE\"")
    )
    .recorder
    #expect(recorder.ending?.outcome == .completed)
  }

  @Test func `a later attempt finds the newest checkpoint in a private folder that is removed at the end`() throws {
    let folder = TemporaryDirectory()
    let recorder = try execute(
      shell(
        "cat $LIFELINE_CHECKPOINT_FILE; echo; d=$(dirname $LIFELINE_CHECKPOINT_FILE); stat -c %a $d $d/..; echo $d"),
      checkpoint: ["line": 12, "name": "é"], in: folder
    ).recorder
    #expect(recorder.lines.prefix(3) == [#"{"line":12,"name":"é"}"#, "700", "700"])
    let attempt = try #require(recorder.lines.last)
    #expect(attempt.hasPrefix(folder.path))
    #expect(!fileExists(attempt))
  }

  @Test func `checkpoints and progress are handed on in order`() throws {
    let recorder = try execute(
      shell(
        """
        echo '{"progress": 0.25}' >&3
        echo '{"checkpoint": {"line": 1}, "progress": 0.5}' >&3
        echo >&3
        printf '{"checkpoint": null}' >&3
        """)
    ).recorder
    #expect(recorder.checkpoints == [["line": 1], .null])
    #expect(recorder.progress == [0.25, 0.5])
  }

  @Test func `a thousand checkpoints written just before the exit all arrive, in order`() throws {
    let recorder = try execute(shell("seq 1 1000 | sed 's/.*/{\"checkpoint\": &}/' >&3")).recorder
    #expect(recorder.checkpoints == (1...1000).map { .integer($0) })
    guard case .attemptEnded = recorder.events.last else {
      Issue.record("the end is not the last word")
      return
    }
  }

  @Test func `lines that make no sense are logged and change nothing`() throws {
    let run = try execute(
      shell(
        """
        echo 'hello' >&3
        echo '[1]' >&3
        echo '{"progress": 2}' >&3
        echo '{"colour": "red"}' >&3
        printf '\\377\\n' >&3
        head -c 400000 /dev/zero | tr '\\0' 'x' >&3
        printf '\\n{"checkpoint": "' >&3; head -c 2000 /dev/zero | tr '\\0' 'y' >&3; echo '"}' >&3
        echo '{"checkpoint": 1}' >&3
        """), configure: { $0.maxCheckpointBytes = 1_000 })
    #expect(run.recorder.checkpoints == [1])
    #expect(run.recorder.progress == [])
    #expect(run.logged.count == 7)
    #expect(run.logged.allSatisfy { $0.message == "a line on LIFELINE_CONTROL_FD is ignored" })
  }

  @Test func `without room a command is held back, and nothing is lost`() throws {
    let count = 20_000
    let run = try execute(
      shell("seq 1 \(count) | sed 's/.*/{\"checkpoint\": &}/' >&3; exec sleep 600"), limit: .seconds(60)
    ) { run in
      run.recorder.room = 700
      func more() {
        run.when({ run.recorder.room <= 0 || run.recorder.checkpoints.count == count }) {
          guard run.recorder.checkpoints.count < count else { return run.executor.stop(run.key, .stopping) }
          run.recorder.room = 700
          run.executor.roomAvailable()
          more()
        }
      }
      more()
    }
    #expect(run.recorder.checkpoints == (1...count).map { .integer(Int64($0)) })
    #expect(run.recorder.excess == 0)
  }

  @Test func `without room even output waits, and what is left at the end is taken nevertheless`() throws {
    let run = try execute(
      shell("echo '{\"checkpoint\": 1}' >&3; head -c 1000000 /dev/zero; echo '{\"checkpoint\": 2}' >&3")
    ) { run in
      run.recorder.room = 1
      run.when({ run.recorder.room == 0 && run.recorder.streamed[.stdout, default: []].count > 0 }) {
        #expect(run.recorder.streamed[.stdout, default: []].count < 1_000_000)
        run.recorder.room = 1
        run.executor.roomAvailable()
        run.recorder.room = Int.max
        run.executor.roomAvailable()
      }
    }
    #expect(run.recorder.streamed[.stdout]?.count == 1_000_000)
    #expect(run.recorder.checkpoints == [1, 2])
  }

  // MARK: Output

  @Test func `output that is no text is kept byte by byte`() throws {
    let recorder = try execute(shell("printf '\\000\\001\\377\\376\\n'; printf '\\200' >&2")).recorder
    #expect(recorder.ending?.output == AttemptOutput(stdout: [0, 1, 255, 254, 10], stderr: [128], droppedBytes: 0))
  }

  @Test func `of long output the beginning and the end are kept, and all of it is streamed`() throws {
    let recorder = try execute(shell("seq 1 200000"), configure: { $0.maxOutputBytes = 10_000 }).recorder
    let whole = (1...200_000).map { "\($0)\n" }.joined()
    #expect(recorder.stdout == whole)
    #expect(recorder.largestChunk <= 32 << 10)
    let output = try #require(recorder.ending?.output)
    #expect(output.stdout.count <= 10_000)
    #expect(recorder.keptOutput.hasPrefix("1\n2\n3\n"))
    #expect(recorder.keptOutput.hasSuffix("199999\n200000\n"))
    #expect(recorder.keptOutput.contains("\n[... \(output.droppedBytes) bytes left out ...]\n"))
    let note = "\n[... \(output.droppedBytes) bytes left out ...]\n".utf8.count
    #expect(output.stdout.count - note + output.droppedBytes == whole.utf8.count)
  }

  // MARK: What was left behind

  @Test func `what a killed worker left behind is ended and removed at the next start`() throws {
    let folder = TemporaryDirectory()
    let stale = folder.file("lifeline-worker-old")
    mkdir(stale, 0o700)
    mkdir("\(stale)/1", 0o700)
    close(open("\(stale)/1/checkpoint.json", O_WRONLY | O_CREAT, 0o600))
    var child = ChildProcess.Configuration(executable: "sleep", arguments: ["600"])
    child.environment = ["LIFELINE_CHECKPOINT_FILE": "\(stale)/1/checkpoint.json", "PATH": "/usr/bin:/bin"]
    var status: Reactor.ExitStatus?
    try withLoop { loop in
      _ = try ChildProcess.spawn(child, on: loop) {
        status = $0
        loop.stop()
      }
      _ = CommandExecutor(configured(folder))
    }
    #expect(status == .signalled(SIGKILL))
    #expect(!fileExists(stale))
  }

  @Test func `what a living worker uses is left alone`() throws {
    let folder = TemporaryDirectory()
    let run = try execute(shell("test -e $LIFELINE_CHECKPOINT_FILE || exit 1"), checkpoint: 1, in: folder) { run in
      // Another worker starts on the same machine as soon as the command has its folder.
      run.loop.afterTurn { _ = CommandExecutor(configured(folder)) }
    }
    #expect(run.recorder.ending?.outcome == .completed)
  }

  private func configured(_ folder: TemporaryDirectory) -> CommandExecutor.Configuration {
    var configuration = CommandExecutor.Configuration()
    configuration.temporaryDirectory = folder.path
    return configuration
  }
}
