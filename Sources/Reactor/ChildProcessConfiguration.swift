import Glibc

extension ChildProcess {
  /// What to run and with which surroundings.
  public struct Configuration {
    /// A path, or a name looked up in this process's `PATH`; a relative path is relative to `workingDirectory`.
    public var executable: String
    /// Without the program's own name, which is added in front.
    public var arguments: [String]
    /// The whole environment of the child; nil inherits ours.
    public var environment: [String: String]?
    /// nil inherits ours.
    public var workingDirectory: String?
    public var standardInput = Input.null
    public var standardOutput = Output.inherit
    public var standardError = Output.inherit
    /// Further descriptors of the child (3 to 255) and which of ours each is a duplicate of; ours stay open.
    public var extraDescriptors: [Int32: Int32] = [:]
    /// Further outputs of the child, by its descriptor number (3 to 255): a control channel, say.
    public var extraOutputs: [Int32: Output] = [:]
    public var group = ProcessGroup.new

    public init(executable: String, arguments: [String] = []) {
      self.executable = executable
      self.arguments = arguments
    }
  }

  public enum ProcessGroup: Sendable {
    /// Ours: the terminal's Ctrl-C reaches it.
    case inherited
    /// One of its own, which `signalGroup` reaches.
    case new
    /// A session, hence a group, of its own, without a terminal.
    case newSession
  }

  public enum Input {
    /// Reads the end of file.
    case null
    case inherit
    /// Fed through `ChildProcess.standardInput`.
    case pipe
    /// A duplicate of this descriptor of ours, which stays open.
    case descriptor(Int32)
  }

  public enum Output {
    case null
    case inherit
    /// Handed out on the loop as it comes; `onEnd` comes once everybody who held the pipe closed it.
    case pipe(onBytes: (RawSpan) -> Void, onEnd: () -> Void = {})
    /// A duplicate of this descriptor of ours, which stays open.
    case descriptor(Int32)

    func reading(_ descriptor: Int32?, on loop: EventLoop) -> ByteStream? {
      guard case .pipe(let onBytes, let onEnd) = self, let descriptor else { return nil }
      return ByteStream(descriptor: descriptor, on: loop, onBytes: onBytes, onEnd: onEnd)
    }
  }
}
