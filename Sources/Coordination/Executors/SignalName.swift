import Glibc

/// A signal's symbolic name, such as `SIGKILL`; nil for one without.
func signalName(_ number: Int32) -> String? {
  switch number {
  case SIGHUP: "SIGHUP"
  case SIGINT: "SIGINT"
  case SIGQUIT: "SIGQUIT"
  case SIGILL: "SIGILL"
  case SIGTRAP: "SIGTRAP"
  case SIGABRT: "SIGABRT"
  case SIGBUS: "SIGBUS"
  case SIGFPE: "SIGFPE"
  case SIGKILL: "SIGKILL"
  case SIGUSR1: "SIGUSR1"
  case SIGSEGV: "SIGSEGV"
  case SIGUSR2: "SIGUSR2"
  case SIGPIPE: "SIGPIPE"
  case SIGALRM: "SIGALRM"
  case SIGTERM: "SIGTERM"
  case SIGXCPU: "SIGXCPU"
  case SIGXFSZ: "SIGXFSZ"
  case SIGSYS: "SIGSYS"
  default: nil
  }
}

/// `signal 9 (SIGKILL)`.
func signalDescription(_ number: Int32) -> String {
  signalName(number).map { "signal \(number) (\($0))" } ?? "signal \(number)"
}
