import Glibc

/// A `pthread_mutex_t`, for the few places where threads meet.
///
/// Not `Synchronization.Mutex`, in which ThreadSanitizer reports false races on Linux.
@safe package final class Lock: @unchecked Sendable {
  // SAFETY: allocated in `init`, freed in `deinit`, and never handed out.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  package init() {
    unsafe mutex = UnsafeMutablePointer.allocate(capacity: 1)
    // SAFETY: the memory is ours and uninitialized; `pthread_mutex_init` initializes it.
    let result = unsafe pthread_mutex_init(mutex, nil)
    precondition(result == 0, "pthread_mutex_init")
  }

  deinit {
    // SAFETY: nobody holds the mutex, or nobody could release the last reference.
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  package func withLock<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
    // SAFETY: initialized in `init`, and alive as long as `self`.
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body()
  }
}
