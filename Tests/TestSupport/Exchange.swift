import Glibc

/// Hands values from one thread to another that waits for them, for at most ten seconds each.
public final class Exchange<Value: Sendable>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private var values: [Value] = []

  public init() {
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    semaphore.initialize(to: sem_t())
    sem_init(semaphore, 0, 0)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  public func put(_ value: Value) {
    pthread_mutex_lock(mutex)
    values.append(value)
    pthread_mutex_unlock(mutex)
    sem_post(semaphore)
  }

  /// The oldest value; ends the test process with a message when none comes in time, rather than hang.
  public func take(file: StaticString = #file, line: UInt = #line) -> Value {
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    deadline.tv_sec += 10
    while sem_timedwait(semaphore, &deadline) != 0 {
      precondition(errno == EINTR, "no value came within 10 seconds", file: file, line: line)
    }
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return values.removeFirst()
  }
}
