import CoordinationCore
import Glibc

/// What numbers depend on besides the code.
public struct Environment: Sendable {
  public let processor: String
  public let cores: Int
  public let swift: String
  public let build: String

  /// This machine and this build.
  public static var current: Environment {
    Environment(
      processor: processorName ?? "unknown processor", cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)), swift: swiftVersion,
      build: isDebug ? "debug build: numbers mean nothing" : "release")
  }

  public var line: String { "\(processor), \(cores) cores, Swift \(swift), \(build)" }

  var json: JSONObject {
    [
      "processor": .string(processor), "cores": .integer(Int64(cores)), "swift": .string(swift),
      "build": .string(build),
    ]
  }

  private static var processorName: String? {
    guard let file = fopen("/proc/cpuinfo", "r") else { return nil }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, file) > 0, let line {
      let text = String(cString: line)
      guard text.hasPrefix("model name"), let colon = text.firstIndex(of: ":") else { continue }
      return String(text[text.index(after: colon)...].drop { $0 == " " }.prefix { $0 != "\n" })
    }
    return nil
  }

  private static var swiftVersion: String {
    #if swift(>=6.4)
      "6.4 or newer"
    #elseif swift(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }

  private static var isDebug: Bool {
    var isDebug = false
    assert(
      {
        isDebug = true; return true
      }())
    return isDebug
  }
}
