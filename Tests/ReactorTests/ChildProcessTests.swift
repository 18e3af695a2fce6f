import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

// The testing library has an ExitStatus, too.
private typealias ExitStatus = Reactor.ExitStatus

@Suite struct `a child process` {
  /// What one run of a configuration came to.
  private struct Outcome {
    var status: ExitStatus?
    var output: [UInt8] = []
    var errors: [UInt8] = []
    var text: String { String(decoding: output, as: UTF8.self) }
  }

  private func run(
    _ executable: String, _ arguments: [String] = [],
    _ adjust: (inout ChildProcess.Configuration) -> Void = { _ in }, whileRunning: (ChildProcess) -> Void = { _ in }
  ) throws -> Outcome {
    var outcome = Outcome()
    try withLoop { loop in
      var ends = 0
      var configuration = ChildProcess.Configuration(executable: executable, arguments: arguments)
      configuration.standardOutput = .pipe(
        onBytes: { bytes in bytes.withUnsafeBytes { outcome.output += Array($0) } }, onEnd: { ends += 1 })
      configuration.standardError = .pipe(
        onBytes: { bytes in bytes.withUnsafeBytes { outcome.errors += Array($0) } }, onEnd: { ends += 1 })
      adjust(&configuration)
      let expected = [configuration.standardOutput, configuration.standardError].filter {
        if case .pipe = $0 { true } else { false }
      }.count
      let child = try ChildProcess.spawn(configuration, on: loop) { outcome.status = $0 }
      whileRunning(child)
      loop.when({ outcome.status != nil && ends == expected }) {
        #expect(child.exitStatus == outcome.status)
        // Reaped: the number names no child of ours any more.
        #expect(waitpid(child.pid, nil, WNOHANG) == -1)
        #expect(!child.signal(SIGTERM))
        #expect(!child.signalGroup(SIGTERM))
        loop.stop()
      }
    }
    return outcome
  }

  @Test(arguments: [0, 1, 42, 255] as [Int32])
  func `reports its exit status`(status: Int32) throws {
    #expect(try run("sh", ["-c", "exit \(status)"]).status == .exited(status))
  }

  @Test(arguments: [SIGKILL, SIGTERM, SIGABRT])
  func `reports the signal that ended it`(number: Int32) throws {
    let outcome = try run("sleep", ["100"], whileRunning: { #expect($0.signal(number)) })
    #expect(outcome.status == .signalled(number))
  }

  @Test func `keeps output and errors apart, and complete`() throws {
    let outcome = try run("sh", ["-c", "echo out; echo err >&2"])
    #expect(outcome.text == "out\n")
    #expect(String(decoding: outcome.errors, as: UTF8.self) == "err\n")
  }

  @Test func `delivers much more than a pipe holds`() throws {
    let outcome = try run("head", ["-c", "5000000", "/dev/zero"])
    #expect(outcome.output.count == 5_000_000)
    #expect(outcome.status == .exited(0))
  }

  @Test func `is fed through its standard input, more than a pipe holds`() throws {
    let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let outcome = try run(
      "cat", [], { $0.standardInput = .pipe },
      whileRunning: { child in
        child.standardInput?.write(bytes)
        child.standardInput?.close()
      })
    #expect(outcome.output == bytes)
  }

  @Test func `a program that stops reading its input fails the writer, not us`() throws {
    var failure: SystemError?
    try withLoop { loop in
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      let writer = PipeWriter(descriptor: ends[1], on: loop) { error in
        failure = error
        loop.stop()
      }
      System.close(ends[0])
      writer.write([1, 2, 3])
      #expect(failure == nil)
    }
    #expect(failure?.code == EPIPE)
  }

  @Test func `a pipe writer bounds what waits`() throws {
    var failure: SystemError?
    try withLoop { loop in
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      let writer = PipeWriter(descriptor: ends[1], on: loop, maxPendingBytes: 100) { error in
        failure = error
        loop.stop()
      }
      writer.write([UInt8](repeating: 0, count: 101))
      #expect(!writer.isOpen)
      System.close(ends[0])
    }
    #expect(failure?.code == ENOBUFS)
  }

  @Test func `gets exactly the environment it was given, or ours`() throws {
    let given = try run("/usr/bin/env", [], { $0.environment = ["ONLY": "this", "EMPTY": ""] })
    #expect(given.text == "EMPTY=\nONLY=this\n")
    setenv("REACTOR_TEST_INHERITED", "yes", 1)
    #expect(try run("/usr/bin/env").text.contains("REACTOR_TEST_INHERITED=yes\n"))
  }

  @Test func `starts in its working directory`() throws {
    let folder = TemporaryDirectory()
    #expect(try run("pwd", [], { $0.workingDirectory = folder.path }).text == "\(folder.path)\n")
  }

  @Test func `a missing program, folder or permission is an error at once that says which`() throws {
    let loop = try EventLoop()
    let missing = #expect(throws: SystemError.self) {
      try ChildProcess.spawn(.init(executable: "no-such-program"), on: loop) { _ in }
    }
    #expect(
      missing?.description
        == "spawn no-such-program: No such file or directory (ENOENT); no such program, in PATH or as a path")
    var configuration = ChildProcess.Configuration(executable: "true")
    configuration.workingDirectory = "/no/such/folder"
    let folder = #expect(throws: SystemError.self) { try ChildProcess.spawn(configuration, on: loop) { _ in } }
    #expect(folder?.detail == "the working directory /no/such/folder cannot be entered")
    let denied = #expect(throws: SystemError.self) {
      try ChildProcess.spawn(.init(executable: "/etc/passwd"), on: loop) { _ in }
    }
    #expect(denied?.code == EACCES)
    #expect(throws: SystemError.self) {
      try ChildProcess.spawn(.init(executable: "true", arguments: ["a\0b"]), on: loop) { _ in }
    }
    #expect(loop.resources.count == 0)
  }

  @Test func `failed starts leak no descriptors`() throws {
    let loop = try EventLoop()
    func attempt() {
      var configuration = ChildProcess.Configuration(executable: "no-such-program")
      configuration.standardInput = .pipe
      configuration.standardOutput = .pipe(onBytes: { _ in })
      configuration.extraDescriptors = [3: 100_000]
      _ = try? ChildProcess.spawn(configuration, on: loop) { _ in }
      configuration.extraDescriptors = [:]
      _ = try? ChildProcess.spawn(configuration, on: loop) { _ in }
    }
    for _ in 0..<400 { attempt() }
    // Counting what is open would see other tests' descriptors; but these duplicates have numbers from 256 up, which
    // hardly anybody else uses, so the lowest free one tells.
    let lowest = fcntl(0, F_DUPFD, 256)
    System.close(lowest)
    #expect(lowest < 256 + 200)
  }

  @Test func `sees extra descriptors under its own numbers even when they collide with ours`() throws {
    let folder = TemporaryDirectory()
    func file(_ text: String) -> Int32 {
      let descriptor = open(folder.file(text), O_CREAT | O_RDWR, 0o600)
      _ = write(descriptor, text, text.utf8.count)
      lseek(descriptor, 0, SEEK_SET)
      return descriptor
    }
    let first = file("first")
    let second = file("second")
    defer {
      System.close(first)
      System.close(second)
    }
    // The two swap numbers if the system gave them 3 to 255, which it does unless hundreds are open.
    guard (3...255).contains(first), (3...255).contains(second) else { return }
    let outcome = try run(
      "/bin/bash", ["-c", "cat <&\(first); echo; cat <&\(second)"],
      { $0.extraDescriptors = [first: second, second: first] })
    #expect(outcome.text == "second\nfirst")
  }

  @Test func `writes to further outputs of its own`() throws {
    var control = ""
    var ended = false
    let outcome = try run(
      "sh", ["-c", "echo out; echo progress >&9"],
      {
        $0.extraOutputs[9] = .pipe(
          onBytes: { bytes in bytes.withUnsafeBytes { control += String(decoding: $0, as: UTF8.self) } },
          onEnd: { ended = true })
      })
    #expect(outcome.text == "out\n")
    #expect(control == "progress\n")
    #expect(ended)
  }

  @Test(arguments: [0, 2, 256, -1] as [Int32])
  func `refuses an extra descriptor out of range`(number: Int32) throws {
    let loop = try EventLoop()
    var configuration = ChildProcess.Configuration(executable: "true")
    configuration.extraOutputs[number] = .null
    let error = #expect(throws: SystemError.self) { try ChildProcess.spawn(configuration, on: loop) { _ in } }
    #expect(error?.detail.contains("3...255") ?? false)
  }

  @Test func `inherits no other descriptor of ours`() throws {
    // Opened without close-on-exec, as careless libraries do.
    let stray = open("/dev/null", O_RDONLY)
    defer { System.close(stray) }
    let outcome = try run("ls", ["/proc/self/fd"])
    // The three standard ones, and the folder that ls itself opens.
    #expect(outcome.text == "0\n1\n2\n3\n")
  }

  @Test func `starts with default signal dispositions and nothing blocked`() throws {
    let lines = try run("grep", ["-E", "^Sig(Blk|Ign):", "/proc/self/status"]).text.split(separator: "\n")
    #expect(lines.count == 2)
    // Signals 32 and 33 are the C library's own, which it leaves ignored in every child.
    let sets = lines.compactMap { UInt64($0.suffix(16), radix: 16) }.map { $0 & ~0x1_8000_0000 }
    #expect(sets == [0, 0], "\(lines)")
  }

  @Test(arguments: [ChildProcess.ProcessGroup.new, .newSession])
  func `a group signal reaches grandchildren and leaves no orphan`(group: ChildProcess.ProcessGroup) throws {
    var lines = ""
    var status: ExitStatus?
    var ended = false
    try withLoop { loop in
      var configuration = ChildProcess.Configuration(
        executable: "sh", arguments: ["-c", "sleep 1000 & sleep 1000 & echo ready; wait"])
      configuration.group = group
      var child: ChildProcess?
      configuration.standardOutput = .pipe(
        onBytes: { bytes in
          bytes.withUnsafeBytes { lines += String(decoding: $0, as: UTF8.self) }
          if lines == "ready\n" { #expect(child?.signalGroup(SIGKILL) == true) }
        },
        // The grandchildren hold the pipe: its end proves that they are gone.
        onEnd: { ended = true })
      child = try ChildProcess.spawn(configuration, on: loop) { status = $0 }
      #expect(getpgid(child?.pid ?? 0) == child?.pid)
      loop.when({ status != nil && ended }) { loop.stop() }
    }
    #expect(status == .signalled(SIGKILL))
  }

  @Test func `what an exited child left behind can still be killed, though the child is gone`() throws {
    var status: ExitStatus?
    var ended = false
    try withLoop { loop in
      var configuration = ChildProcess.Configuration(executable: "sh", arguments: ["-c", "sleep 1000 & exit 3"])
      configuration.standardOutput = .pipe(onBytes: { _ in }, onEnd: { ended = true })
      var child: ChildProcess?
      child = try ChildProcess.spawn(configuration, on: loop) { exit in
        status = exit
        #expect(!ended)
        loop.schedule(after: .milliseconds(5)) {
          #expect(child?.signalGroup(SIGKILL) == true)
          loop.when({ ended }) {
            #expect(child?.signalGroup(SIGKILL) == false)
            loop.stop()
          }
        }
      }
    }
    #expect(status == .exited(3))
  }

  @Test func `the end of its output may come before its exit`() throws {
    var order: [String] = []
    try withLoop { loop in
      var configuration = ChildProcess.Configuration(
        executable: "sh", arguments: ["-c", "exec >&-; read line; exit 7"])
      configuration.standardInput = .pipe
      var child: ChildProcess?
      configuration.standardOutput = .pipe(
        onBytes: { _ in },
        onEnd: {
          order.append("end")
          child?.standardInput?.close()
        })
      child = try ChildProcess.spawn(configuration, on: loop) { status in
        order.append("\(status)")
        loop.stop()
      }
    }
    #expect(order == ["end", "exit status 7"])
  }

  @Test func `paused output holds the child back until it is resumed`() throws {
    var count = 0
    var status: ExitStatus?
    try withLoop { loop in
      var configuration = ChildProcess.Configuration(executable: "head", arguments: ["-c", "1000000", "/dev/zero"])
      var ended = false
      configuration.standardOutput = .pipe(onBytes: { count += $0.byteCount }, onEnd: { ended = true })
      let child = try ChildProcess.spawn(configuration, on: loop) { status = $0 }
      child.standardOutput?.pauseReading()
      loop.schedule(after: .milliseconds(50)) {
        #expect(count == 0)
        #expect(status == nil)
        child.standardOutput?.resumeReading()
        loop.when({ ended && status != nil }) { loop.stop() }
      }
    }
    #expect(count == 1_000_000)
    #expect(status == .exited(0))
  }

  @Test func `is released after it ended`() throws {
    weak var released: ChildProcess?
    try withLoop { loop in
      released = try ChildProcess.spawn(.init(executable: "true"), on: loop) { _ in
        loop.schedule(after: .milliseconds(1)) { loop.stop() }
      }
    }
    #expect(released == nil)
  }

  @Test func `many at once are told apart`() throws {
    try withLoop { loop in
      var statuses: [Int32: ExitStatus] = [:]
      for number in 0..<20 as Range<Int32> {
        _ = try ChildProcess.spawn(
          .init(executable: "sh", arguments: ["-c", "exit \(number)"]), on: loop
        ) { status in
          statuses[number] = status
          guard statuses.count == 20 else { return }
          for (number, status) in statuses { #expect(status == .exited(number)) }
          loop.stop()
        }
      }
    }
  }
}
