import CoordinationCore
import Primitives

/// What a worker writes to a supervising process, one line each, on that process's standard input.
///
/// `run JSON` comes once; the end of the file means that the worker is gone, and has the effect of `kill`.
enum SupervisorRequest: Equatable {
  case run(Launch)
  /// The command may run until then, on this machine's monotonic clock; replaces what was said before.
  case lease(until: Instant)
  case pause
  case resume
  /// SIGTERM, and SIGKILL when that did not help within `Launch.terminationGrace`.
  case terminate
  case kill

  struct Launch: Equatable {
    var command: Command
    var timeout: Duration?
    var terminationGrace: Duration
    /// What of the supervising process's own environment the command finds in its.
    var environment = PassedEnvironment.all
  }

  var line: String {
    switch self {
    case .run(let launch): "run \(launch.json.text)\n"
    case .lease(let deadline): "lease \(deadline.nanoseconds)\n"
    case .pause: "pause\n"
    case .resume: "resume\n"
    case .terminate: "terminate\n"
    case .kill: "kill\n"
    }
  }

  /// nil for a line that this version does not know.
  init?(line: String) {
    let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
    switch (parts.first, parts.count == 2 ? parts[1] : nil) {
    case ("run", let text?):
      guard let object = try? JSONParser.parse(text).object, let launch = Launch(json: object) else { return nil }
      self = .run(launch)
    case ("lease", let text?):
      guard let nanoseconds = Int64(text) else { return nil }
      self = .lease(until: Instant(nanoseconds: nanoseconds))
    case ("pause", nil): self = .pause
    case ("resume", nil): self = .resume
    case ("terminate", nil): self = .terminate
    case ("kill", nil): self = .kill
    default: return nil
    }
  }
}

extension SupervisorRequest.Launch {
  var json: JSONObject {
    var environment = JSONObject()
    for (name, value) in command.environment { environment[name] = .string(value) }
    var object: JSONObject = [
      "argv": .array(command.arguments.map(JSONValue.string)), "env": .object(environment),
      "grace_ns": .integer(terminationGrace.wholeNanoseconds),
    ]
    if let patterns = self.environment.patterns { object["pass"] = .array(patterns.map(JSONValue.string)) }
    if let directory = command.workingDirectory { object["cwd"] = .string(directory) }
    if let timeout { object["timeout_ns"] = .integer(timeout.wholeNanoseconds) }
    return object
  }

  init?(json object: JSONObject) {
    let arguments = object["argv"]?.array?.compactMap(\.string) ?? []
    guard !arguments.isEmpty, let grace = object["grace_ns"]?.integer else { return nil }
    command = Command(arguments, workingDirectory: object["cwd"]?.string)
    for (name, value) in object["env"]?.object?.members ?? [] {
      guard let value = value.string else { return nil }
      command.environment[name] = value
    }
    timeout = object["timeout_ns"]?.integer.map { .nanoseconds($0) }
    terminationGrace = .nanoseconds(grace)
    self.environment = PassedEnvironment(passing: object["pass"]?.array?.compactMap(\.string))
  }
}

/// What a supervising process writes to its worker, one line each, on its standard output.
enum SupervisorReport: Equatable {
  /// The command runs, as the leader of the process group of this number.
  case started(pid: Int32)
  case paused
  case resumed
  /// The command was still running when `terminate` or `kill` reached it.
  case stopping
  /// It is being ended because the lease or the time allowed ran out.
  case leaseEnded
  case timedOut
  /// Last words: it could not be started, or it ended and neither it nor a descendant is left.
  case failed(exitCode: Int32, String)
  case exited(Int32)
  case signalled(Int32)

  var line: String {
    switch self {
    case .started(let pid): "started \(pid)\n"
    case .paused: "paused\n"
    case .resumed: "resumed\n"
    case .stopping: "stopping\n"
    case .leaseEnded: "lease\n"
    case .timedOut: "timeout\n"
    case .failed(let code, let text): "failed \(code) \(text)\n"
    case .exited(let status): "exited \(status)\n"
    case .signalled(let number): "signalled \(number)\n"
    }
  }

  /// nil for a line that this version does not know.
  init?(line: String) {
    let parts = line.split(separator: " ", maxSplits: 2).map(String.init)
    let number = parts.count > 1 ? Int32(parts[1]) : nil
    switch (parts.first, number, parts.count) {
    case ("started", let pid?, 2): self = .started(pid: pid)
    case ("paused", nil, 1): self = .paused
    case ("resumed", nil, 1): self = .resumed
    case ("stopping", nil, 1): self = .stopping
    case ("lease", nil, 1): self = .leaseEnded
    case ("timeout", nil, 1): self = .timedOut
    case ("failed", let code?, 3): self = .failed(exitCode: code, parts[2])
    case ("exited", let status?, 2): self = .exited(status)
    case ("signalled", let number?, 2): self = .signalled(number)
    default: return nil
    }
  }
}

/// The descriptors that a supervising process is given beyond the standard three; it passes them on to its command.
enum SupervisorDescriptor {
  static let commandOutput: Int32 = 3
  static let commandError: Int32 = 4
  static let controlLines: Int32 = 5
}

/// The variables a command finds in its environment.
enum CommandVariable {
  static let taskID = "LIFELINE_TASK_ID"
  static let attempt = "LIFELINE_ATTEMPT"
  /// The number of the descriptor that takes JSON lines.
  static let controlDescriptor = "LIFELINE_CONTROL_FD"
  /// Always set; the file exists only when there is a checkpoint to go on from, and then holds its JSON text.
  static let checkpointFile = "LIFELINE_CHECKPOINT_FILE"

  /// The attempt's own working directory, where it has one.
  static let workingDirectory = "LIFELINE_WORKDIR"

  /// Whether a variable may hold a secret of the worker's, or say where one is: `LIFELINE_API_KEY`,
  /// `LIFELINE_WORKER_API_KEY_FILE` and the like.
  static func isWithheld(_ name: String) -> Bool {
    name.hasPrefix("LIFELINE_") && ["_API_KEY", "_API_KEY_FILE", "_TLS_KEY"].contains { name.hasSuffix($0) }
  }

  /// What `controlDescriptor` says.
  static let controlDescriptorNumber: Int32 = 3
}
