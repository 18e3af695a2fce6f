import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// The folder that is a command's own, and its bound.
@Suite(.timeLimit(.minutes(2))) struct WorkingDirectoryTests {
  private func own(_ script: String, maxBytes: Int64 = OwnDirectory.defaultMaxBytes) -> Command {
    Command(["sh", "-c", script], ownDirectory: OwnDirectory(maxBytes: maxBytes))
  }

  private static func isGone(_ path: String) throws {
    try eventually("removal of \(path)") { fileExists(path) ? nil : true }
  }

  @Test func `a command runs in an empty private folder that is gone afterwards`() throws {
    let folder = TemporaryDirectory()
    let recorder = try execute(
      own("pwd; test \"$LIFELINE_WORKDIR\" = \"$PWD\" && ls -A | wc -l; stat -c %a .; echo left > file; mkdir -p a/b"),
      in: folder
    ).recorder
    #expect(recorder.ending?.outcome == .completed)
    #expect(recorder.lines.dropFirst().map { $0.filter { $0 != " " } } == ["0", "700"])
    let path = try #require(recorder.lines.first)
    #expect(path.hasPrefix(folder.path))
    try Self.isGone(path)
  }

  @Test func `a command that did not ask for a folder has none`() throws {
    #expect(try execute(shell("echo \"${LIFELINE_WORKDIR-none}\"")).recorder.lines == ["none"])
  }

  /// What the task asks for, what the worker allows, and whose bound is named.
  private static let bounds: [(Int64, Int64?, String)] = [
    (300_000, nil, "task's workdir.max_bytes"),
    (OwnDirectory.defaultMaxBytes, 300_000, "worker's --work-dir-max-bytes"),
  ]

  @Test(arguments: bounds)
  func `a command whose folder outgrows the bound is ended with the reason`(
    bytes: Int64, limit: Int64?, words: String
  ) throws {
    // It would wait for ever: only the bound ends it.
    let command = own("mkdir deep; head -c 2000000 /dev/zero > deep/file; echo written; sleep 1000", maxBytes: bytes)
    let recorder = try execute(
      command,
      configure: {
        $0.workingDirectoryInterval = .milliseconds(10)
        $0.maxWorkingDirectoryBytes = limit
      }
    ).recorder
    #expect(recorder.ending?.outcome == .failed)
    #expect(recorder.ending?.reason?.contains("holds more than the 300000 bytes") == true)
    #expect(recorder.ending?.reason?.contains(words) == true)
  }

  @Test func `what a command leaves is removed whatever its names, its rights and its depth`() throws {
    let folder = TemporaryDirectory()
    let script = """
      pwd
      mkdir -p locked/inner && echo x > locked/inner/file && chmod 0 locked/inner && chmod 500 locked
      touch "$(printf 'no\\377text')" './-rf' "$(printf 'line\\nbreak')"
      ln -s /etc link; mkfifo pipe
      i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i + 1)); done; echo deep > file
      """
    // It nests deeper than may be, and is not to be looked at while it does.
    let recorder = try execute(
      own(script), in: folder, configure: { $0.workingDirectoryInterval = .seconds(1_000) }
    ).recorder
    #expect(recorder.ending?.outcome == .completed)
    try Self.isGone(try #require(recorder.lines.first))
    #expect(fileExists("/etc/passwd"), "links are not followed")
  }

  @Test func `a tree is measured as du does`() throws {
    let folder = TemporaryDirectory()
    let script = """
      cd '\(folder.path)' && head -c 100000 /dev/zero > a && ln a b && mkdir -p c/d && head -c 5000 /dev/zero > c/d/e
      truncate -s 10M sparse
      """
    _ = try execute(shell(script))
    let usage = FileTree.usage(of: folder.path, maxBytes: .max, maxEntries: .max)
    #expect(usage.entries == 6)
    // Two names of one file count once, what was never written not at all.
    #expect(usage.bytes >= 105_000 && usage.bytes < 160_000)
    #expect(FileTree.usage(of: folder.path, maxBytes: 1, maxEntries: .max).entries < 6)
    #expect(FileTree.usage(of: folder.path, maxBytes: .max, maxEntries: 2).entries == 3)
    #expect(FileTree.usage(of: "\(folder.path)/none", maxBytes: 1, maxEntries: 1) == FileTree.Usage())
  }

  @Test func `a tree that nests too deep is said to`() throws {
    let folder = TemporaryDirectory()
    let depth = FileTree.maxLevels + 3
    _ = try execute(
      shell("cd '\(folder.path)'; i=0; while [ $i -lt \(depth) ]; do mkdir d; cd d; i=$((i + 1)); done"))
    #expect(FileTree.usage(of: folder.path, maxBytes: .max, maxEntries: .max).isTooDeep)
    FileTree.remove(folder.path + "/d")
    #expect(FileTree.entries(of: folder.path) == [])
  }
}

/// What of a worker's environment its commands find in theirs.
@Suite(.timeLimit(.minutes(2))) struct PassedEnvironmentTests {
  @Test(arguments: [
    ("PATH", true), ("LC_ALL", true), ("LC_", true), ("TERM", true), ("PATHS", false), ("LC", false),
    ("AWS_SECRET_ACCESS_KEY", false), ("LIFELINE_COORDINATOR", false), ("", false), ("CUDA_HOME", true), ("MINE", true),
    ("MINES", false), ("LIFELINE_API_KEY", false), ("LIFELINE_API_KEY_FILE", false),
  ])
  func `names pass that are listed, in whole or by their beginning`(name: String, passes: Bool) throws {
    let environment = try #require(PassedEnvironment(andAlso: ["CUDA_*", "MINE", "LIFELINE_API*"]))
    #expect(environment.passes(Array(name.utf8)) == passes)
  }

  @Test(arguments: ["", "A=B", "A\u{0}", "A*B", "**"])
  func `what cannot be a name is refused`(text: String) {
    #expect(PassedEnvironment(andAlso: [text]) == nil)
  }

  @Test func `when all passes, the secrets do not`() {
    #expect(PassedEnvironment.all.passes(Array("ANYTHING".utf8)))
    for name in ["LIFELINE_API_KEY", "LIFELINE_API_KEY_FILE", "LIFELINE_TLS_KEY", "LIFELINE_WORKER_API_KEY"] {
      #expect(!PassedEnvironment.all.passes(Array(name.utf8)), "\(name)")
    }
  }

  @Test func `a launch says what passes`() {
    for environment in [PassedEnvironment.all, .usual] {
      let launch = SupervisorRequest.Launch(
        command: shell("true"), terminationGrace: .seconds(1), environment: environment)
      #expect(SupervisorRequest(line: String(SupervisorRequest.run(launch).line.dropLast())) == .run(launch))
    }
  }
}
