import Glibc
import Testing

/// A `lifeline` process, driven from the test's thread. Every wait is bounded; the process never outlives the object.
final class RunningProgram {
  /// How a program ended and all that it wrote.
  struct Outcome {
    let status: Int32
    let output: String
    let errors: String

    var lines: [String] { output.split(separator: "\n").map(String.init) }
  }

  static let path: String = {
    // An executable or a bundle, and as much of its path as the system tells: the folder is the build's.
    var path = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &path, path.count)
    let known = [String(decoding: path.prefix(max(0, count)), as: UTF8.self)] + CommandLine.arguments
    let candidates = known.compactMap { path in path.lastIndex(of: "/").map { "\(path[..<$0])/lifeline" } }
    return candidates.first { access($0, X_OK) == 0 } ?? "lifeline"
  }()

  let pid: pid_t
  private let arguments: [String]
  private var descriptors: [Int32]
  private var texts: [[UInt8]] = [[], []]
  private var status: Int32?

  /// - Parameters:
  ///   - errorFile: takes standard error, for a program whose log nobody reads.
  ///   - closesOutput: nobody reads its standard output from the start.
  init(
    _ arguments: [String], environment: [String: String] = [:], input: String = "", errorFile: String? = nil,
    closesOutput: Bool = false
  ) throws {
    self.arguments = arguments
    let inputPipe = try Self.pipe()
    let outputPipe = try Self.pipe()
    let errorPipe = try Self.pipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, inputPipe.read, 0)
    posix_spawn_file_actions_adddup2(&actions, outputPipe.write, 1)
    if let errorFile {
      posix_spawn_file_actions_addopen(&actions, 2, errorFile, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    } else {
      posix_spawn_file_actions_adddup2(&actions, errorPipe.write, 2)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    // A group of its own: what a test sends to it reaches nobody else. Its signal mask is the test thread's, which blocks
    // most of them: a program must cope with that.
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF))
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&defaults, number) }
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    // The machine's configuration, if it has one, is no test's.
    let variables = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LIFELINE_CONFIG": "/dev/null"]
      .merging(environment) { $1 }
    var words: [UnsafeMutablePointer<CChar>?] = (["lifeline"] + arguments).map { strdup($0) } + [nil]
    var assignments: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
    defer {
      for word in words + assignments { free(word) }
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
      for descriptor in [inputPipe.read, outputPipe.write, errorPipe.write] { close(descriptor) }
    }
    var child = pid_t()
    let code = posix_spawn(&child, Self.path, &actions, &attributes, &words, &assignments)
    guard code == 0 else { throw Failure(description: "\(Self.path): \(String(cString: strerror(code)))") }
    pid = child
    descriptors = [outputPipe.read, errorPipe.read]
    for descriptor in descriptors { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
    if closesOutput {
      close(outputPipe.read)
      descriptors[0] = -1
    }
    // Tests hand over less than a pipe holds.
    let bytes = Array(input.utf8)
    precondition(bytes.count <= 65_536, "more than a pipe holds")
    if !bytes.isEmpty { write(inputPipe.write, bytes, bytes.count) }
    close(inputPipe.write)
  }

  deinit {
    if status == nil {
      kill(pid, SIGKILL)
      var ignored: Int32 = 0
      waitpid(pid, &ignored, 0)
    }
    for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private static func pipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { throw Failure(description: "pipe: \(errno)") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  var output: String { String(decoding: texts[0], as: UTF8.self) }
  var errors: String { String(decoding: texts[1], as: UTF8.self) }
  var hasEnded: Bool { status != nil }

  func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

  /// Kills it for sure and waits until it is gone.
  func killNow() throws {
    signal(SIGKILL)
    try wait("the end of a killed process") { $0.hasEnded }
  }

  /// Reads what comes until `condition` holds.
  func wait(
    _ what: String, within seconds: Double = 60, _ condition: (RunningProgram) -> Bool
  ) throws {
    let deadline = Self.now + seconds
    while true {
      pump()
      if condition(self) { return }
      guard Self.now < deadline else {
        throw Failure(
          description: "no \(what) within \(seconds) s of lifeline \(arguments.joined(separator: " "))\n"
            + "output: \(output)\nerrors: \(errors)")
      }
    }
  }

  /// Waits for its end.
  func end(within seconds: Double = 60) throws -> Outcome {
    try wait("end", within: seconds) { $0.hasEnded }
    pump()
    return Outcome(status: status ?? -1, output: output, errors: errors)
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private func pump() {
    var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    poll(&entries, nfds_t(entries.count), 5)
    var buffer = [UInt8](repeating: 0, count: 65_536)
    for index in descriptors.indices where descriptors[index] >= 0 {
      while true {
        let count = read(descriptors[index], &buffer, buffer.count)
        if count > 0 {
          texts[index] += buffer[..<count]
          continue
        }
        if count == 0 {
          close(descriptors[index])
          descriptors[index] = -1
        }
        break
      }
    }
    guard status == nil else { return }
    var word: Int32 = 0
    guard waitpid(pid, &word, WNOHANG) == pid else { return }
    status = word & 0x7F == 0 ? word >> 8 & 0xFF : 128 + word & 0x7F
  }
}
