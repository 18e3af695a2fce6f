import Glibc
import Primitives
public import Reactor

/// A real process, driven from the test's thread; every wait is bounded. Killed, at the latest, when the object goes away.
public final class TestProcess: Sendable {
  public let pid: Int32
  /// Lines of standard output and of standard error.
  public let output: EventLog<String>
  public let errors: EventLog<String>
  private let ending: EventLog<ExitStatus>
  private let closed: EventLog<String>
  private let child: LoopBound<ChildProcess>
  private let title: String

  /// One loop for the processes of all tests.
  static let thread: EventLoopThread = {
    do { return try EventLoopThread(name: "processes") { _ in } } catch { fatalError("\(error)") }
  }()

  /// The path of a program that the package builds: beside the bundle that holds the tests.
  public static func built(_ name: String) -> String {
    var path = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &path, path.count)
    let known = [String(decoding: path.prefix(max(0, count)), as: UTF8.self)] + CommandLine.arguments
    let candidates = known.compactMap { path in path.lastIndex(of: "/").map { "\(path[..<$0])/\(name)" } }
    return candidates.first { access($0, X_OK) == 0 } ?? name
  }

  /// - Parameters:
  ///   - environment: added to the test's own.
  ///   - input: what it reads on standard input, and then the end of file.
  public init(
    _ program: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil
  ) throws {
    title = ([program.split(separator: "/").last.map(String.init) ?? program] + arguments.prefix(6)).joined(
      separator: " ")
    let (output, errors) = (EventLog<String>("\(title), standard output"), EventLog<String>("\(title), log"))
    let (ending, closed) = (EventLog<ExitStatus>(title), EventLog<String>(title))
    (self.output, self.errors, self.ending, self.closed) = (output, errors, ending, closed)
    let started = Exchange<Result<(Int32, LoopBound<ChildProcess>), any Error>>()
    let variables = environment.merging(Self.surroundings) { mine, _ in mine }
    Self.thread.mailbox.post { loop in
      var configuration = ChildProcess.Configuration(executable: program, arguments: arguments)
      configuration.environment = variables
      configuration.standardOutput = Self.lines(into: output) { closed.put("output") }
      configuration.standardError = Self.lines(into: errors) { closed.put("errors") }
      if input != nil { configuration.standardInput = .pipe }
      started.put(
        Result {
          let child = try ChildProcess.spawn(configuration, on: loop) { ending.put($0) }
          if let input {
            child.standardInput?.write(Array(input.utf8))
            child.standardInput?.close()
          }
          return (child.pid, LoopBound(child, to: loop))
        })
    }
    (pid, child) = try started.take().get()
  }

  deinit {
    let child = child
    Self.thread.mailbox.post { _ = child.value.signal(SIGKILL) }
  }

  private static func lines(into log: EventLog<String>, end: @escaping () -> Void) -> ChildProcess.Output {
    var rest: [UInt8] = []
    return .pipe(
      onBytes: { bytes in
        rest += bytes.withUnsafeBytes { Array($0) }
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
          log.put(String(decoding: rest[..<newline], as: UTF8.self))
          rest.removeSubrange(...newline)
        }
      },
      onEnd: {
        if !rest.isEmpty { log.put(String(decoding: rest, as: UTF8.self)) }
        end()
      })
  }

  private static let surroundings: [String: String] = {
    var variables: [String: String] = [:]
    for entry in contents(of: "/proc/self/environ").split(separator: 0) {
      let text = String(decoding: entry, as: UTF8.self)
      guard let sign = text.firstIndex(of: "=") else { continue }
      variables[String(text[..<sign])] = String(text[text.index(after: sign)...])
    }
    return variables
  }()

  /// A file's bytes; none when it cannot be read.
  public static func contents(of path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      guard count > 0 else { return bytes }
      bytes += buffer[..<count]
    }
  }

  /// Sends a signal to this process alone; harmless once it has ended.
  public func signal(_ number: Int32) {
    let (child, done) = (child, Exchange<Bool>())
    guard Self.thread.mailbox.post({ done.put(child.value.signal(number)) }) else { return }
    _ = done.take()
  }

  /// `kill -9`; returns once it is gone.
  public func kill() throws {
    signal(SIGKILL)
    _ = try exit()
  }

  public var hasEnded: Bool { ending.count > 0 }

  /// How it ended, and with everything in its pipes read.
  @discardableResult
  public func exit(limit: Duration = .seconds(60)) throws -> ExitStatus {
    do {
      let status = try ending.wait(for: "end of the process", limit: limit) { $0.first }
      // A supervising process may hold standard error a moment longer than its worker lives.
      if [.exited(0), .exited(1), .exited(2)].contains(status) {
        try closed.wait(for: "end of output") { $0.count == 2 ? true : nil }
      }
      return status
    } catch {
      throw TimedOut("\(error)\n  its log:\n    \(errors.all.suffix(30).joined(separator: "\n    "))")
    }
  }
}
