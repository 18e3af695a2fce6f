import Glibc
package import Reactor

/// The surroundings of fleets that a command starts for itself.
package enum FleetEnvironment {
  /// They must be what the command line describes, so what the user set up for another fleet, by variables or a
  /// configuration file, stays out.
  package static var variables: [String: String] {
    ProcessEnvironment.variables { !$0.hasPrefix("LIFELINE_") }.merging(["LIFELINE_CONFIG": "/dev/null"]) { $1 }
  }

  /// This program by its path: behind another program `/proc/self/exe` would be that one.
  package static func program() throws(SystemError) -> String {
    var path = [CChar](repeating: 0, count: 4_096)
    // SAFETY: the kernel writes at most the buffer's bytes.
    let count = unsafe readlink("/proc/self/exe", &path, path.count)
    guard count > 0 else { throw SystemError(call: "readlink", subject: "/proc/self/exe", code: errno) }
    return String(decoding: path.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
