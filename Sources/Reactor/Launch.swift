import CLibEv
import Glibc

/// The pipes between us and a child about to start, and every descriptor that must be closed again on failure.
struct ChildPipes {
  var inputWriter: Int32?
  var outputReader: Int32?
  var errorReader: Int32?
  var extraReaders: [Int32: Int32] = [:]
  /// Duplicates and pipe ends that only the child needs.
  var childEnds: [Int32] = []

  mutating func closeChildEnds() {
    for descriptor in childEnds { System.close(descriptor) }
    childEnds = []
  }

  mutating func closeAll() {
    closeChildEnds()
    for descriptor in [inputWriter, outputReader, errorReader].compactMap({ $0 }) + extraReaders.values {
      System.close(descriptor)
    }
    self = ChildPipes()
  }
}

/// One `posix_spawn`: which of our descriptors becomes which of the child's, and the rest of its surroundings.
struct Launch {
  private let configuration: ChildProcess.Configuration
  /// Child's number → a duplicate of ours that lies above every child's number.
  private var mapping: [Int32: Int32] = [:]

  private static let maxChildDescriptor: Int32 = 255

  init(_ configuration: ChildProcess.Configuration, _ pipes: inout ChildPipes) throws(SystemError) {
    self.configuration = configuration
    for number in Array(configuration.extraDescriptors.keys) + configuration.extraOutputs.keys {
      guard (3...Self.maxChildDescriptor).contains(number) else {
        throw SystemError(
          call: "spawn", subject: configuration.executable, code: EBADF,
          detail: "extra descriptor \(number) is not within 3...\(Self.maxChildDescriptor)")
      }
    }
    if let number = configuration.extraOutputs.keys.first(where: { configuration.extraDescriptors[$0] != nil }) {
      throw SystemError(
        call: "spawn", subject: configuration.executable, code: EEXIST,
        detail: "descriptor \(number) is in both extraDescriptors and extraOutputs")
    }
    let strings = [configuration.executable, configuration.workingDirectory ?? ""] + configuration.arguments
    guard !configuration.executable.isEmpty, !strings.contains(where: { $0.utf8.contains(0) }) else {
      throw SystemError(
        call: "spawn", subject: configuration.executable, code: EINVAL, detail: "an empty name, or a NUL in a string")
    }
    for (name, value) in configuration.environment ?? [:] {
      guard !name.isEmpty, !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "=")), !value.utf8.contains(0)
      else {
        throw SystemError(
          call: "spawn", subject: configuration.executable, code: EINVAL,
          detail: "environment variable \"\(name)\" has an empty name, an equals sign in it, or a NUL")
      }
    }

    switch configuration.standardInput {
    case .null: try open(STDIN_FILENO, O_RDONLY, &pipes)
    case .inherit: try map(STDIN_FILENO, to: STDIN_FILENO, &pipes)
    case .descriptor(let descriptor): try map(STDIN_FILENO, to: descriptor, &pipes)
    case .pipe:
      let (read, write) = try makePipe()
      pipes.inputWriter = write
      pipes.childEnds.append(read)
      try map(STDIN_FILENO, to: read, &pipes)
    }
    pipes.outputReader = try mapOutput(STDOUT_FILENO, configuration.standardOutput, &pipes)
    pipes.errorReader = try mapOutput(STDERR_FILENO, configuration.standardError, &pipes)
    for (number, output) in configuration.extraOutputs {
      pipes.extraReaders[number] = try mapOutput(number, output, &pipes)
    }
    for (number, descriptor) in configuration.extraDescriptors { try map(number, to: descriptor, &pipes) }
  }

  private mutating func mapOutput(
    _ number: Int32, _ output: ChildProcess.Output, _ pipes: inout ChildPipes
  ) throws(SystemError) -> Int32? {
    switch output {
    case .null: try open(number, O_WRONLY, &pipes)
    case .inherit: try map(number, to: number, &pipes)
    case .descriptor(let descriptor): try map(number, to: descriptor, &pipes)
    case .pipe:
      let (read, write) = try makePipe()
      pipes.childEnds.append(write)
      do {
        try map(number, to: write, &pipes)
      } catch {
        System.close(read)
        throw error
      }
      return read
    }
    return nil
  }

  /// Duplicates ours out of the way first, so that no `dup2` in the child overwrites the source of a later one.
  private mutating func map(_ number: Int32, to ours: Int32, _ pipes: inout ChildPipes) throws(SystemError) {
    let duplicate = lifeline_duplicate_above(ours, Self.maxChildDescriptor + 1)
    guard duplicate >= 0 else {
      // A standard descriptor that we ourselves run without is simply absent in the child.
      if ours == number, number <= STDERR_FILENO, errno == EBADF { return }
      throw failure("dup \(ours)", errno)
    }
    pipes.childEnds.append(duplicate)
    mapping[number] = duplicate
  }

  private mutating func open(_ number: Int32, _ mode: Int32, _ pipes: inout ChildPipes) throws(SystemError) {
    // SAFETY: a constant path.
    let descriptor = unsafe Glibc.open("/dev/null", mode | Int32(LIFELINE_O_CLOEXEC))
    guard descriptor >= 0 else { throw failure("open /dev/null", errno) }
    pipes.childEnds.append(descriptor)
    try map(number, to: descriptor, &pipes)
  }

  private func makePipe() throws(SystemError) -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the call fills the two elements.
    guard unsafe lifeline_pipe(&ends) == 0 else { throw failure("pipe", errno) }
    return (ends[0], ends[1])
  }

  private func failure(_ call: String, _ code: Int32) -> SystemError {
    SystemError(call: call, subject: "for \(configuration.executable)", code: code, detail: System.advice(for: code))
  }

  /// Starts the program and returns its process number.
  func start() throws(SystemError) -> Int32 {
    // SAFETY: both are initialised here and destroyed on every way out; strings are copied by the calls that add them.
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    if let folder = configuration.workingDirectory { unsafe lifeline_spawn_add_chdir(&actions, folder) }
    let highest = max(mapping.keys.max() ?? 0, STDERR_FILENO)
    for number in 0...highest {
      if let ours = mapping[number] {
        unsafe posix_spawn_file_actions_adddup2(&actions, ours, number)
      } else {
        // Descriptors that some library opened without close-on-exec stay with us.
        unsafe posix_spawn_file_actions_addclose(&actions, number)
      }
    }
    unsafe lifeline_spawn_add_closefrom(&actions, highest + 1)

    // Ignored signals and blocked signals would otherwise be inherited, SIGPIPE's among them.
    var all = sigset_t()
    var none = sigset_t()
    unsafe sigfillset(&all)
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    var flags = Int32(LIFELINE_SPAWN_SETSIGDEF) | Int32(LIFELINE_SPAWN_SETSIGMASK)
    switch configuration.group {
    case .inherited: break
    case .new: flags |= Int32(LIFELINE_SPAWN_SETPGROUP)
    case .newSession: flags |= Int32(LIFELINE_SPAWN_SETSID)
    }
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

    var pid: pid_t = 0
    let arguments = CStrings([configuration.executable] + configuration.arguments)
    let code: Int32
    if let environment = configuration.environment {
      let variables = CStrings(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
      code = unsafe posix_spawnp(
        &pid, configuration.executable, &actions, &attributes, arguments.pointer, variables.pointer)
    } else {
      code = unsafe posix_spawnp(
        &pid, configuration.executable, &actions, &attributes, arguments.pointer, lifeline_environment())
    }
    guard code == 0 else { throw startFailure(code) }
    return pid
  }

  private func startFailure(_ code: Int32) -> SystemError {
    var detail = ""
    if let folder = configuration.workingDirectory {
      var status = stat()
      // SAFETY: stat fills the local it is given.
      if unsafe stat(folder, &status) != 0 { detail = "the working directory \(folder) cannot be entered" }
    }
    if detail.isEmpty {
      switch code {
      case ENOENT: detail = "no such program, in PATH or as a path"
      case EACCES: detail = "it is not an executable file"
      case E2BIG: detail = "arguments and environment are too long together"
      case EAGAIN: detail = "the limit of processes is reached (ulimit -u)"
      default: detail = System.advice(for: code)
      }
    }
    return SystemError(call: "spawn", subject: configuration.executable, code: code, detail: detail)
  }
}

/// A NULL-terminated array of C strings, as `exec` wants them.
@safe
private final class CStrings {
  let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ strings: [String]) {
    count = strings.count
    // SAFETY: one element more than there are strings, for the terminator; all freed in deinit.
    unsafe pointer = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: count + 1)
    for (index, string) in strings.enumerated() { unsafe (pointer + index).initialize(to: strdup(string)) }
    unsafe (pointer + count).initialize(to: nil)
  }

  deinit {
    // SAFETY: each was made by strdup in init.
    for index in 0..<count { unsafe free(pointer[index]) }
    unsafe pointer.deallocate()
  }
}
