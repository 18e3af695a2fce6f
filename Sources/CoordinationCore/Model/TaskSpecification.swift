/// A command line run by a worker as a child in a process group of its own.
public struct Command: Equatable, Sendable {
  /// The program and its arguments; never empty. The program is looked up in `PATH` when it has no slash.
  public var arguments: [String]
  /// Added to the worker's environment.
  public var environment: [String: String]
  /// `nil`: the worker's own, or `ownDirectory`.
  public var workingDirectory: String?
  /// Asks for a folder of the command's own to run in; never together with `workingDirectory`.
  public var ownDirectory: OwnDirectory?

  public init(
    _ arguments: [String], environment: [String: String] = [:], workingDirectory: String? = nil,
    ownDirectory: OwnDirectory? = nil
  ) {
    self.arguments = arguments
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.ownDirectory = ownDirectory
  }
}

/// A fresh and empty folder for one attempt to run in, removed after it, and how much it may come to hold.
public struct OwnDirectory: Equatable, Sendable {
  /// 1 GiB: enough for a checkout with its build, and little beside what disks hold.
  public static let defaultMaxBytes: Int64 = 1 << 30
  public static let maxBytesLimit: Int64 = 1 << 50

  /// As `du` counts it: blocks on the disk.
  public var maxBytes: Int64

  public init(maxBytes: Int64 = Self.defaultMaxBytes) {
    self.maxBytes = maxBytes
  }
}

/// What is to be done, as its submitter described it; never changed afterwards.
public struct TaskSpecification: Equatable, Sendable {
  public enum Work: Equatable, Sendable {
    case command(Command)
    /// Work of a kind that a worker's own executor understands (`demo_task`, or a service author's), with its input.
    case custom(kind: String, input: JSONObject)

    /// What a worker must be able to execute to be given this work.
    public var kind: String {
      switch self {
      case .command: "command"
      case .custom(let kind, _): kind
      }
    }
  }

  public var name: String
  public var work: Work
  public var priority: TaskPriority
  /// How long one attempt may run; `nil`: for ever.
  public var timeout: Duration?
  /// How many attempts may follow one that failed by itself (exit status, timeout).
  public var retries: Int
  /// How many attempts may be lost with their worker before the task is failed: a task that kills its workers must not
  /// walk through the whole fleet.
  public var maxLostAttempts: Int
  /// What several tasks that were submitted together share, so that they can be watched together.
  public var run: String?
  /// What the labels of its worker must be like.
  public var requirements = Requirements()
  /// How many of its worker's slots it takes.
  public var slots = 1
  /// Files that a command finds in its working folder. The coordinator has them before it takes the task.
  public var inputs: [TaskInput]
  /// Which of the files in its working folder are kept when a command has ended.
  public var outputs: [GlobPattern]
  /// What its tests belong to, over all runs; `nil` for work that is no test.
  public var suite: String?
  /// The tests that it runs; empty without a suite.
  public var tests: [String] = []

  /// The test that it is, where it is one and no more: what becomes of it is then remembered.
  public var testName: TestName? {
    guard let suite, tests.count == 1, let test = tests.first else { return nil }
    return TestName(suite: suite, test: test)
  }

  public static let defaultMaxLostAttempts = 10

  public init(
    name: String, work: Work, priority: TaskPriority = .normal, timeout: Duration? = nil, retries: Int = 0,
    maxLostAttempts: Int = Self.defaultMaxLostAttempts, run: String? = nil, requirements: Requirements = Requirements(),
    slots: Int = 1, inputs: [TaskInput] = [], outputs: [GlobPattern] = []
  ) {
    self.name = name
    self.work = work
    self.priority = priority
    self.timeout = timeout
    self.retries = retries
    self.maxLostAttempts = maxLostAttempts
    self.run = run
    self.requirements = requirements
    self.slots = slots
    self.inputs = inputs
    self.outputs = outputs
  }

  /// Whether files go in or out, which not every worker can do.
  public var hasFiles: Bool { !inputs.isEmpty || !outputs.isEmpty }

  /// What a worker of commands that can take files says that it can do, beside `command`.
  public static let commandWithFiles = "command_files"

  /// What a worker must say that it can do to be given this task.
  public var workerKind: String { hasFiles ? Self.commandWithFiles : work.kind }
}
