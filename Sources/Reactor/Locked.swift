import Glibc

/// State behind a mutex, for the few places where two threads meet.
///
/// A `pthread_mutex_t` rather than `Synchronization.Mutex`, in which ThreadSanitizer reports false races on Linux.
@safe
package final class Locked<State>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var state: State

  package init(_ state: consuming sending State) {
    // SAFETY: allocated once, initialised before anyone can lock it, freed in deinit when nobody can hold it.
    unsafe mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    let result = unsafe pthread_mutex_init(mutex, nil)
    precondition(result == 0, "pthread_mutex_init failed with \(result)")
    self.state = state
  }

  deinit {
    // SAFETY: the last reference is gone, so no thread holds or waits for the mutex.
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  package func withLock<Result, Failure: Error>(_ body: (inout State) throws(Failure) -> Result) throws(Failure)
    -> Result
  {
    // SAFETY: the pointer lives as long as self.
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body(&state)
  }
}
