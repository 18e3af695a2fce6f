import Glibc

/// What whoever started us may have left in a state that we cannot work with.
enum InheritedState {
  static func repair() {
    // A socket that took the number of a closed standard descriptor would be sent what is meant for people.
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      // SAFETY: the path lives for the call; the lowest free number is the one we miss.
      _ = unsafe open("/dev/null", O_RDWR)
    }
    // A program started from a thread of another inherits what that thread blocks, and would hear of no signal.
    var none = sigset_t()
    // SAFETY: both calls use the local only during the call.
    unsafe sigemptyset(&none)
    _ = unsafe pthread_sigmask(SIG_SETMASK, &none, nil)
  }
}
