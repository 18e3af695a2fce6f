import Glibc

/// Hands values from one thread to another that waits for them, for at most ten seconds each.
public final class Exchange<Value: Sendable>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let arrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var values: [Value] = []

  public init() {
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    // A wall clock that is set while a test waits must not end the wait.
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    arrived.initialize(to: pthread_cond_t())
    pthread_cond_init(arrived, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(arrived)
    arrived.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  public func put(_ value: Value) {
    pthread_mutex_lock(mutex)
    values.append(value)
    pthread_cond_signal(arrived)
    pthread_mutex_unlock(mutex)
  }

  /// The oldest value; ends the test process with a message when none comes in time, rather than hang.
  public func take(file: StaticString = #file, line: UInt = #line) -> Value {
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    deadline.tv_sec += 60
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while values.isEmpty {
      let result = pthread_cond_timedwait(arrived, mutex, &deadline)
      precondition(result == 0 || !values.isEmpty, "no value came within a minute", file: file, line: line)
    }
    return values.removeFirst()
  }
}
