import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// Speaks to a supervising process as a worker does, and may die or fall silent as a worker might.
private final class SupervisedCommand {
  let loop: EventLoop
  private(set) var process: ChildProcess?
  private(set) var reports: [SupervisorReport] = []
  private(set) var status: Reactor.ExitStatus?
  private(set) var output: [UInt8] = []
  private var buffer = LineBuffer(maxLineBytes: 10_000)

  init(on loop: EventLoop) throws {
    self.loop = loop
    let pipes = try (0..<3).map { _ in try Pipe() }
    var child = ChildProcess.Configuration(executable: try lifelineProgram(), arguments: ["supervise", "test"])
    child.standardInput = .pipe
    child.standardOutput = .pipe(onBytes: { [unowned self] bytes in
      buffer.append(bytes)
      while case .complete(let line)? = buffer.next() {
        reports += [SupervisorReport(line: String(decoding: line, as: UTF8.self))].compactMap { $0 }
      }
    })
    child.extraDescriptors = [3: pipes[0].writer, 4: pipes[1].writer, 5: pipes[2].writer]
    child.group = .newSession
    process = try ChildProcess.spawn(child, on: loop) { [unowned self] in status = $0 }
    for pipe in pipes { pipe.closeWriter() }
    _ = ByteStream(
      descriptor: pipes[0].reader, on: loop,
      onBytes: { [unowned self] bytes in
        bytes.withUnsafeBytes { output.append(contentsOf: $0) }
      }, onEnd: {})
    pipes[1].closeReader()
    pipes[2].closeReader()
  }

  func send(_ requests: SupervisorRequest...) {
    for request in requests { send(request.line) }
  }
  func send(_ line: String) { process?.standardInput?.write(Array(line.utf8)) }
  func hangUp() { process?.standardInput?.close() }

  /// The numbers that the command printed, one a line.
  var pids: [Int32] { String(decoding: output, as: UTF8.self).split(separator: "\n").compactMap { Int32($0) } }
}

private func supervise(_ body: @escaping (SupervisedCommand) -> Void) throws -> SupervisedCommand {
  var command: SupervisedCommand?
  try withLoop(limit: .seconds(60)) { loop in
    let made = try SupervisedCommand(on: loop)
    command = made
    body(made)
    loop.when({ made.status != nil && made.process?.standardOutput?.isOpen == false }, limit: .seconds(60)) {
      loop.stop()
    }
  }
  return try #require(command)
}

private func run(_ script: String, timeout: Duration? = nil) -> SupervisorRequest {
  .run(.init(command: shell(script), timeout: timeout, terminationGrace: .seconds(5)))
}

@Suite(.timeLimit(.minutes(2))) struct SupervisorTests {
  /// The command, a child in another session, and an orphan in yet another, which all print their numbers.
  private let family =
    "echo $$; setsid sh -c 'echo $$; exec sleep 600' & (setsid sh -c 'trap \"\" TERM HUP; echo $$; exec sleep 600' &); sleep 600"

  @Test func `the worker's death ends the command and every descendant`() throws {
    let command = try supervise { command in
      command.send(run(family))
      command.loop.when({ command.pids.count == 3 }) { command.hangUp() }
    }
    #expect(command.pids.count == 3)
    for pid in command.pids { #expect(!isAlive(pid)) }
    #expect(command.reports.last == .signalled(SIGKILL))
    #expect(command.status == .exited(0))
  }

  @Test func `the lease's end ends the command and every descendant while the worker is silent`() throws {
    let command = try supervise { command in
      command.send(run(family))
      command.loop.when({ command.pids.count == 3 }) {
        command.send(.lease(until: command.loop.now + .milliseconds(200)))
      }
    }
    for pid in command.pids { #expect(!isAlive(pid)) }
    #expect(command.reports.suffix(2) == [.leaseEnded, .signalled(SIGKILL)])
  }

  @Test func `a stopped command does not outlive its lease`() throws {
    let command = try supervise { command in
      command.send(run("sleep 600"), .pause)
      command.loop.when({ command.reports.last == .paused }) {
        command.send(.lease(until: command.loop.now + .milliseconds(100)))
      }
    }
    #expect(command.reports.dropFirst() == [.paused, .leaseEnded, .signalled(SIGKILL)])
  }

  @Test func `signals meant for many do not end it before its command`() throws {
    let command = try supervise { command in
      command.send(run("sleep 600"))
      command.loop.when({ command.reports.count == 1 }) {
        for number in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE] { command.process?.signal(number) }
        command.send(.terminate)
      }
    }
    #expect(command.reports.dropFirst() == [.stopping, .signalled(SIGTERM)])
    #expect(command.status == .exited(0))
  }

  @Test func `requests that come before, between and after are in order`() throws {
    let command = try supervise { command in
      command.send(run("sleep 600"), .pause, .pause, .resume, .resume, .pause, .kill, .kill, .terminate)
    }
    #expect(command.reports.first.map { if case .started = $0 { true } else { false } } == true)
    #expect(command.reports.contains(.resumed) && command.reports.last == .signalled(SIGKILL))
    #expect(command.reports.count { $0 == .stopping } == 1)
  }

  @Test func `words it does not know are ignored once the command runs`() throws {
    let command = try supervise { command in
      command.send(run("sleep 0.2; exit 4"))
      command.send("dance\nlease soon\n\nrun {}\n")
    }
    #expect(command.reports.last == .exited(4))
  }

  @Test(arguments: ["run {}\n", "run {\"argv\": [], \"grace_ns\": 1}\n", "dance\n"])
  func `a launch that makes no sense is refused with a reason`(line: String) throws {
    let command = try supervise { $0.send(line) }
    #expect(
      command.reports == [.failed(exitCode: 126, "the supervising process was asked for what it cannot do")])
  }

  @Test func `a worker that dies before it named a command leaves nothing`() throws {
    let command = try supervise { $0.hangUp() }
    #expect(command.reports == [])
    #expect(command.status == .exited(0))
  }

  @Test func `orphans that end while the command runs do not stay behind as zombies`() throws {
    let command = try supervise { command in
      command.send(run("for i in 1 2 3 4 5; do (sh -c 'echo $$' &); done; exec sleep 600"))
      command.loop.when({
        command.pids.count == 5 && command.pids.allSatisfy { ProcessTable.entry(of: $0) == nil }
      }) { command.hangUp() }
    }
    #expect(command.pids.count == 5)
  }

  @Test func `started by hand it says that it is of no use`() throws {
    var child = ChildProcess.Configuration(executable: try lifelineProgram(), arguments: ["supervise"])
    child.standardOutput = .null
    var errors: [UInt8] = []
    child.standardError = .pipe(onBytes: { bytes in bytes.withUnsafeBytes { errors.append(contentsOf: $0) } })
    var status: Reactor.ExitStatus?
    try withLoop { loop in
      let process = try ChildProcess.spawn(child, on: loop) { status = $0 }
      loop.when({ status != nil && process.standardError?.isOpen == false }) { loop.stop() }
    }
    #expect(status == .exited(2))
    #expect(String(decoding: errors, as: UTF8.self).contains("started by a worker"))
  }
}

@Suite struct SupervisorProtocolTests {
  @Test(arguments: [
    SupervisorRequest.lease(until: Instant(nanoseconds: 123_456_789_012)), .lease(until: .distantFuture), .pause,
    .resume, .terminate, .kill,
    .run(
      .init(
        command: Command(
          ["a", "", "line\nbreak", "é\u{1F}"], environment: ["A": "=\n", "B": ""], workingDirectory: "/x y"),
        timeout: .milliseconds(1500), terminationGrace: .zero)),
    .run(.init(command: Command(["a"]), timeout: nil, terminationGrace: .seconds(5))),
  ])
  func `a request survives its line`(request: SupervisorRequest) {
    #expect(request.line.hasSuffix("\n"))
    #expect(request.line.count { $0 == "\n" } == 1)
    #expect(SupervisorRequest(line: String(request.line.dropLast())) == request)
  }

  @Test(arguments: [
    SupervisorReport.started(pid: 77), .paused, .resumed, .stopping, .leaseEnded, .timedOut,
    .failed(exitCode: 127, "cannot run a b: No such file"), .exited(0), .signalled(9),
  ])
  func `a report survives its line`(report: SupervisorReport) {
    #expect(SupervisorReport(line: String(report.line.dropLast())) == report)
  }

  @Test(arguments: [
    "", " ", "lease", "lease x", "run", "run []", "pause 3", "started", "exited x", "started 99999999999",
  ])
  func `other lines are neither`(line: String) {
    #expect(SupervisorRequest(line: line) == nil)
    #expect(SupervisorReport(line: line) == nil || line == "lease")
  }
}
