import Glibc
import Reactor

/// What the process finds around itself.
enum Surroundings {
  /// The environment variables that mean something to this program, as far as they are set.
  static var variables: [String: String] {
    let others: Set = ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "NO_COLOR", "TERM", "SOURCE_DATE_EPOCH"]
    return ProcessEnvironment.variables { $0.hasPrefix("LIFELINE_") || others.contains($0) }
  }

  /// The machine's name, without its domain; `nil` when it has none.
  static var hostName: String? {
    var bytes = [CChar](repeating: 0, count: 256)
    // SAFETY: gethostname writes at most the given count.
    guard unsafe gethostname(&bytes, bytes.count - 1) == 0 else { return nil }
    let name = String(
      decoding: bytes.prefix { $0 != 0 && $0 != CChar(46) }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return name.isEmpty ? nil : name
  }

  static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// `count` random characters of `0–9 a–f`.
  static func randomText(_ count: Int) -> String {
    String((0..<count).map { _ in "0123456789abcdef".randomElement() ?? "0" })
  }
}
