import Glibc
package import Reactor

/// The file that a process of a fleet writes its log to, run after run.
package enum FleetLog {
  /// - Returns: a descriptor for the process to inherit; the caller closes its own.
  package static func open(_ path: String) throws(SystemError) -> Int32 {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SystemError(call: "open", subject: path, code: errno) }
    return descriptor
  }
}
