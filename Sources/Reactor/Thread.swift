import CLibEv
import Glibc

/// A POSIX thread that is joined or detached exactly once.
struct Thread: Sendable {
  private let handle: UInt

  private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a thread that takes no signal but its own faults: the others are for the thread that started the program.
  static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> Thread {
    var thread = pthread_t()
    // SAFETY: the new thread takes over the retain; if there is none, it is given back here.
    let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    var all = sigset_t()
    var previous = sigset_t()
    unsafe sigfillset(&all)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF] { unsafe sigdelset(&all, fault) }
    unsafe pthread_sigmask(SIG_BLOCK, &all, &previous)
    let code = unsafe pthread_create(
      &thread, nil,
      { context in
        guard let context = unsafe context else { return nil }
        let start = unsafe Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
        // The kernel keeps 15 bytes of a name.
        unsafe lifeline_set_thread_name(String(start.name.prefix(15)))
        start.body()
        return nil
      }, start.toOpaque())
    unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
    guard code == 0 else {
      unsafe start.release()
      throw SystemError(call: "pthread_create", subject: name, code: code)
    }
    return Thread(handle: UInt(thread))
  }

  func join() { pthread_join(pthread_t(handle), nil) }

  func detach() { pthread_detach(pthread_t(handle)) }
}
