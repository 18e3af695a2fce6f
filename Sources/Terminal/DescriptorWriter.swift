internal import Glibc
internal import Primitives

/// Writes text to a descriptor with `write(2)`: standard output and standard error.
///
/// Stateless; concurrent writes of more than 4 096 bytes to one pipe may mix. Call `ignoreBrokenPipeSignal` at start.
public struct DescriptorWriter: Sendable {
  public enum Outcome: Sendable, Equatable {
    case written
    /// The reader has gone (EPIPE); nothing further will ever get through.
    case closed
    /// The reader did not read in time; a part may have been written.
    case stalled
    /// `errno` of a failed write: a full disk, a bad descriptor.
    case failed(Int32)
  }

  public let descriptor: Int32

  public static let standardOutput = DescriptorWriter(descriptor: STDOUT_FILENO)
  public static let standardError = DescriptorWriter(descriptor: STDERR_FILENO)

  public init(descriptor: Int32) {
    self.descriptor = descriptor
  }

  /// Makes writing to a pipe without reader an outcome rather than the end of the process.
  public static func ignoreBrokenPipeSignal() {
    _ = signal(SIGPIPE, SIG_IGN)
  }

  /// What a pipe that polls as writable takes without blocking (PIPE_BUF), whether the descriptor may block or not.
  private static let safePipeBytes = 4096

  /// Writes all of `text`, in as few calls as the system allows.
  ///
  /// `patience` bounds how long a reader that does not read is waited for, in total; `nil` waits as long as it takes.
  public func write(_ text: String, patience: Duration? = nil) -> Outcome {
    var text = text
    return text.withUTF8 { buffer in unsafe write(UnsafeRawBufferPointer(buffer), patience: patience) }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, patience: Duration?) -> Outcome {
    var rest = unsafe bytes[...]
    while unsafe !rest.isEmpty {
      if let patience {
        guard isWritable(within: patience) else { return .stalled }
      }
      let size = unsafe patience == nil ? rest.count : min(rest.count, Self.safePipeBytes)
      // SAFETY: the slice is not empty and `size` is at most its length.
      let count = unsafe Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, size)
      if count >= 0 {
        unsafe rest = rest.dropFirst(count)
        continue
      }
      switch errno {
      case EINTR: break
      case EAGAIN: if patience == nil { _ = isWritable(within: nil) }
      case EPIPE: return .closed
      case let code: return .failed(code)
      }
    }
    return .written
  }

  private func isWritable(within patience: Duration?) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    let milliseconds = patience.map { Int32(clamping: max(0, $0.wholeMilliseconds)) } ?? -1
    while true {
      // SAFETY: one entry, which lives for the call.
      let count = unsafe poll(&entry, 1, milliseconds)
      if count < 0 && errno == EINTR { continue }
      return count != 0  // On an error too: the write that follows names it.
    }
  }
}
