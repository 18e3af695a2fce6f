import Locking
import Glibc

/// A value that one thread waits for and another provides once.
@safe
final class OneShot<Value: Sendable>: @unchecked Sendable {
  private let value = Locked<Value?>(nil)
  private let semaphore: UnsafeMutablePointer<sem_t>

  init() {
    // SAFETY: freed in deinit, when neither side can use it any more.
    unsafe semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    unsafe semaphore.initialize(to: sem_t())
    unsafe sem_init(semaphore, 0, 0)
  }

  deinit {
    unsafe sem_destroy(semaphore)
    unsafe semaphore.deallocate()
  }

  func fulfil(_ newValue: Value) {
    value.withLock { $0 = newValue }
    // SAFETY: initialised in init.
    unsafe sem_post(semaphore)
  }

  func wait() -> Value {
    while true {
      // SAFETY: as above; EINTR is the only failure and is retried.
      while unsafe sem_wait(semaphore) != 0 {}
      if let value = value.withLock({ $0 }) { return value }
    }
  }
}
