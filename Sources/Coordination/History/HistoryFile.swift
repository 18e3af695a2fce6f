import Glibc
public import History
public import Reactor

/// A history file that is being written: one line for each event, in one write, before whoever records goes on.
///
/// Several runs of a process append to one file. A process that is killed leaves at most its last line unfinished, and
/// the next one begins a line of its own.
public final class HistoryFile: Sendable {
  private let descriptor: Int32
  private let failed: @Sendable (SystemError) -> Void

  /// - Parameter failed: called when a line cannot be written: what is recorded from then on proves nothing.
  public init(appendingTo path: String, failed: @escaping @Sendable (SystemError) -> Void) throws(SystemError) {
    // SAFETY: the path lives for the call.
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SystemError(call: "open", subject: path, code: errno) }
    self.failed = failed
    try cutUnfinishedLine(path)
  }

  deinit { close(descriptor) }

  /// Callable from any thread.
  public func record(_ event: HistoryEvent) {
    let line = Array((HistoryRecord(event, at: MonotonicClock.now()).line + "\n").utf8)
    var rest = line[...]
    while !rest.isEmpty {
      // SAFETY: the kernel reads at most the slice's bytes during the call.
      let count = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        return failed(SystemError(call: "write", subject: "the history", code: errno))
      }
    }
  }

  /// What a killed process left half written would spoil the first line of its successor.
  private func cutUnfinishedLine(_ path: String) throws(SystemError) {
    var end = lseek(descriptor, 0, SEEK_END)
    var byte: UInt8 = 0
    // SAFETY: one byte is read into a local of one byte.
    while end > 0, unsafe pread(descriptor, &byte, 1, end - 1) == 1, byte != UInt8(ascii: "\n") { end -= 1 }
    guard ftruncate(descriptor, end) == 0 else {
      throw SystemError(call: "ftruncate", subject: path, code: errno)
    }
  }
}
