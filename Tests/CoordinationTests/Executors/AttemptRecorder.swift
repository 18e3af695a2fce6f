import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// Stands in for a worker: keeps what an attempt reports.
final class AttemptRecorder {
  let key: AttemptKey
  private(set) var events: [WorkerEvent] = []
  private(set) var ending: AttemptEnding?
  /// What was streamed, by offset.
  private(set) var streamed: [OutputStream: [UInt8]] = [.stdout: [], .stderr: []]
  private(set) var largestChunk = 0
  /// How many checkpoints there is room for.
  var room = Int.max
  /// Checkpoints that came without room.
  private(set) var excess = 0
  var onEvent: (WorkerEvent) -> Void = { _ in }

  init(_ key: AttemptKey) { self.key = key }

  func reporter() -> AttemptReporter {
    AttemptReporter(key, room: { [self] in room > 0 }, report: { [self] in take($0) })
  }

  /// Has the attempt executed; its end stops the loop.
  func start(_ assignment: Assignment, by executor: any TaskExecutor, on loop: EventLoop) {
    let onEvent = onEvent
    self.onEvent = { event in
      onEvent(event)
      if case .attemptEnded = event { loop.stop() }
    }
    executor.start(assignment, reporter: reporter(), on: loop)
  }

  private func take(_ event: WorkerEvent) {
    events.append(event)
    switch event {
    case .attemptEnded(_, let ending): self.ending = ending
    case .attemptCheckpointed:
      if room <= 0 { excess += 1 }
      room -= 1
    case .attemptWrote(_, let stream, let offset, let bytes):
      #expect(offset == streamed[stream]?.count, "chunks follow one another")
      streamed[stream, default: []] += bytes
      largestChunk = max(largestChunk, bytes.count)
    default: break
    }
    onEvent(event)
  }

  var checkpoints: [JSONValue] {
    events.compactMap { if case .attemptCheckpointed(_, let data) = $0 { data } else { nil } }
  }
  var progress: [Double] { events.compactMap { if case .attemptProgressed(_, let value) = $0 { value } else { nil } } }
  var stdout: String { String(decoding: streamed[.stdout] ?? [], as: UTF8.self) }
  /// Whole lines written so far.
  var lines: [String] { stdout.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }
  var hasPaused: Bool { events.contains(.attemptPaused(key)) }
  var hasResumed: Bool { events.contains(.attemptResumed(key)) }
  var keptOutput: String { String(decoding: ending?.output?.stdout ?? [], as: UTF8.self) }
  var keptErrors: String { String(decoding: ending?.output?.stderr ?? [], as: UTF8.self) }
}

/// The built `lifeline` program, which lies next to the test bundle.
func lifelineProgram() throws -> String {
  var buffer = [CChar](repeating: 0, count: 4096)
  let length = readlink("/proc/self/exe", &buffer, buffer.count)
  let own = String(decoding: buffer.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  for origin in [own, CommandLine.arguments.first ?? ""] {
    guard let slash = origin.lastIndex(of: "/") else { continue }
    let path = "\(origin[..<slash])/lifeline"
    if access(path, X_OK) == 0 { return path }
  }
  struct Missing: Error {}
  Issue.record("there is no lifeline program beside \(own); build it first")
  throw Missing()
}

func isAlive(_ pid: Int32) -> Bool { ProcessTable.entry(of: pid)?.isAlive ?? false }

func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// One command on an executor of its own, from start to end.
final class CommandRun {
  let loop: EventLoop
  let executor: CommandExecutor
  let recorder: AttemptRecorder
  private(set) var logged: [LogEntry] = []
  var key: AttemptKey { recorder.key }

  init(loop: EventLoop, executor: CommandExecutor, recorder: AttemptRecorder) {
    self.loop = loop
    self.executor = executor
    self.recorder = recorder
    executor.log = { [unowned self] in logged.append($0) }
  }

  func when(
    _ condition: @escaping () -> Bool, sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping () -> Void
  ) {
    loop.when(condition, sourceLocation: sourceLocation, body)
  }
}

/// Runs `command` until it has ended; `script` may act meanwhile.
@discardableResult
func execute(
  _ command: Command, timeout: Duration? = nil, checkpoint: JSONValue? = nil, in folder: TemporaryDirectory? = nil,
  limit: Duration = .seconds(60), configure: (inout CommandExecutor.Configuration) -> Void = { _ in },
  sourceLocation: SourceLocation = #_sourceLocation, script: (CommandRun) -> Void
) throws -> CommandRun {
  let folder = folder ?? TemporaryDirectory()
  var configuration = CommandExecutor.Configuration()
  configuration.supervisor = try lifelineProgram()
  configuration.temporaryDirectory = folder.path
  configure(&configuration)
  let assignment = Assignment(
    taskID: try TaskID("task"), attempt: 2,
    specification: TaskSpecification(name: "test", work: .command(command), timeout: timeout),
    checkpoint: checkpoint.map { .init(key: CheckpointKey(attempt: 1, number: 7), data: $0) })
  let recorder = AttemptRecorder(AttemptKey(assignment.taskID, assignment.attempt))
  var run: CommandRun?
  try withLoop(limit: limit, sourceLocation: sourceLocation) { loop in
    let made = CommandRun(loop: loop, executor: CommandExecutor(configuration), recorder: recorder)
    run = made
    script(made)
    recorder.start(assignment, by: made.executor, on: loop)
  }
  withExtendedLifetime(folder) {}
  return try #require(run, sourceLocation: sourceLocation)
}

func shell(_ script: String) -> Command { Command(["sh", "-c", script]) }

/// Runs `command` undisturbed.
@discardableResult
func execute(
  _ command: Command, timeout: Duration? = nil, checkpoint: JSONValue? = nil, in folder: TemporaryDirectory? = nil,
  configure: (inout CommandExecutor.Configuration) -> Void = { _ in }, sourceLocation: SourceLocation = #_sourceLocation
) throws -> CommandRun {
  try execute(
    command, timeout: timeout, checkpoint: checkpoint, in: folder, configure: configure, sourceLocation: sourceLocation,
    script: { _ in })
}
