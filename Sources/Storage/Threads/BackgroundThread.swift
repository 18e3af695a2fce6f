import Glibc

/// A detached thread for work that waits for the disk.
package enum BackgroundThread {
  private final class Start {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  package static func start(_ body: sending @escaping () -> Void) throws(StoreError) {
    // SAFETY: the retain is given back by the new thread, or below when there is none.
    let start = unsafe Unmanaged.passRetained(Start(body))
    var thread = pthread_t()
    // Signals are the event loop's business: the new thread inherits a mask that blocks them all.
    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    // SAFETY: the argument is the retained `Start` from above.
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        if let argument = unsafe argument { unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body() }
        return nil
      }, start.toOpaque())
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    guard code == 0 else {
      unsafe start.release()
      throw .other(code: code, message: "cannot start a thread: \(FileError("pthread_create", code).reason)")
    }
    pthread_detach(thread)
  }
}
