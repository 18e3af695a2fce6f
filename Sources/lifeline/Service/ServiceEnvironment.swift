import Glibc
import Primitives

/// What a service manager said to this process, and to nobody that this process starts.
struct ServiceEnvironment: Equatable {
  /// Where notices go; `nil`: nobody wants any.
  var socket: String?
  /// Without a sign of life for this long the service manager takes the process for stuck, and ends it.
  var watchdog: Duration?

  /// As this process was started with. First asked for before there are threads: see `adopt`.
  static let current = ServiceEnvironment.take()

  /// Takes the variables out of the environment, so that no command inherits them: it could say in our name that we are
  /// ready, or end. Called before anything else.
  static func adopt() { _ = current }

  private static func take() -> ServiceEnvironment {
    let names = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
    var variables: [String: String] = [:]
    for name in names {
      // SAFETY: called before there is a second thread, and the text is copied at once.
      if let value = unsafe getenv(name) { unsafe variables[name] = String(cString: value) }
      // SAFETY: as above; nobody keeps a pointer into the environment.
      _ = unsafe unsetenv(name)
    }
    return ServiceEnvironment(variables, pid: getpid())
  }

  init(_ variables: [String: String], pid: pid_t) {
    if let name = variables["NOTIFY_SOCKET"], !name.isEmpty { socket = name }
    // A watchdog that is meant for the process that started us is none of ours.
    if let other = variables["WATCHDOG_PID"], other != "\(pid)" { return }
    if let microseconds = variables["WATCHDOG_USEC"].flatMap({ Int64($0) }), microseconds > 0 {
      watchdog = .microseconds(microseconds)
    }
  }
}
