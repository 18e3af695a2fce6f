import CLibEv
import Glibc

/// Both ends of a new pipe, closed on exec; whoever made it closes them or hands them on.
public struct Pipe: Sendable {
  public let reader: Int32
  public let writer: Int32

  /// Fails when the process or the system is out of descriptors.
  public init() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the call fills the two elements.
    guard unsafe lifeline_pipe(&ends) == 0 else {
      throw SystemError(call: "pipe", code: errno, detail: System.advice(for: errno))
    }
    reader = ends[0]
    writer = ends[1]
  }

  public func closeReader() { System.close(reader) }
  public func closeWriter() { System.close(writer) }
}
