import Glibc

/// Operations on their way to the one thread that performs them.
@safe final class BlockingQueue<Element>: @unchecked Sendable {
  enum Admission: Equatable { case accepted, full(pending: Int), closed }

  // SAFETY: both are allocated in `init`, freed in `deinit`, and never handed out.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private let limit: Int
  // Guarded by `mutex`, all of them.
  private var elements: [Element] = []
  private var pending = 0
  private var isClosed = false

  /// - Parameter limit: the weight that may wait; what is being performed does not count.
  init(limit: Int) {
    self.limit = limit
    unsafe mutex = UnsafeMutablePointer.allocate(capacity: 1)
    unsafe condition = UnsafeMutablePointer.allocate(capacity: 1)
    // SAFETY: the memory is ours and uninitialized; these calls initialize it.
    let result = unsafe pthread_mutex_init(mutex, nil) | pthread_cond_init(condition, nil)
    precondition(result == 0, "pthread_mutex_init, pthread_cond_init")
  }

  deinit {
    // SAFETY: nobody holds or waits for them, or nobody could release the last reference.
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  private func locked<T>(_ body: () -> T) -> T {
    // SAFETY: initialized in `init`, and alive as long as `self`.
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return body()
  }

  func append(_ element: Element, weight: Int = 0) -> Admission {
    locked {
      if isClosed { return .closed }
      // One element is always let in, or a single heavy one could never be performed.
      if weight > 0, pending > 0, pending + weight > limit { return .full(pending: pending) }
      elements.append(element)
      pending += weight
      // SAFETY: as above. Signalling only the first one is enough: the taker takes everything.
      if elements.count == 1 { unsafe pthread_cond_signal(condition) }
      return .accepted
    }
  }

  /// Lets `last` in and nothing after it; returns false when that had happened already.
  func close(after last: Element) -> Bool {
    locked {
      if isClosed { return false }
      isClosed = true
      elements.append(last)
      // SAFETY: as above.
      unsafe pthread_cond_signal(condition)
      return true
    }
  }

  /// Waits until there is something and takes all of it.
  func takeAll() -> [Element] {
    locked {
      // SAFETY: as above; the mutex is held, as waiting requires.
      while elements.isEmpty { unsafe pthread_cond_wait(condition, mutex) }
      var taken: [Element] = []
      swap(&taken, &elements)
      pending = 0
      return taken
    }
  }
}
