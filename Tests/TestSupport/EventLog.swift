import Glibc
import Primitives
import Reactor

/// What happened on other threads, in its order; a test waits for an element that fits, or for a state of the whole.
public final class EventLog<Element: Sendable>: @unchecked Sendable {
  private let name: String
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var elements: [Element] = []

  /// - Parameter name: says in a failure whose events these are.
  public init(_ name: String) {
    self.name = name
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    changed.initialize(to: pthread_cond_t())
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    changed.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  public func put(_ element: Element) {
    pthread_mutex_lock(mutex)
    elements.append(element)
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  public var all: [Element] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return elements
  }

  public var count: Int { all.count }

  /// Waits until `find` returns something for what has happened so far.
  @discardableResult
  public func wait<Value>(
    for what: String, limit: Duration = .seconds(60), _ find: ([Element]) throws -> Value?
  ) throws -> Value {
    let end = MonotonicClock.now() + limit
    var deadline = timespec()
    deadline.tv_sec = Int(end.nanoseconds / 1_000_000_000)
    deadline.tv_nsec = Int(end.nanoseconds % 1_000_000_000)
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let value = try find(elements) { return value }
      guard pthread_cond_timedwait(changed, mutex, &deadline) != ETIMEDOUT else {
        if let value = try find(elements) { return value }
        let shown = elements.suffix(30).map { "\n    \($0)" }.joined()
        throw TimedOut("\(name): no \(what) within \(limit); the last of \(elements.count) events:\(shown)")
      }
    }
  }

  /// Waits for the first element, from the `start`th on, that fits.
  @discardableResult
  public func first(
    _ what: String, from start: Int = 0, limit: Duration = .seconds(60), where fits: (Element) throws -> Bool
  ) throws -> Element {
    try wait(for: what, limit: limit) { try $0.dropFirst(start).first(where: fits) }
  }
}

/// What a test waited for did not happen.
public struct TimedOut: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Looks every few milliseconds until `find` returns something: for what announces itself to nobody, such as a file's
/// length or a process's state.
@discardableResult
public func eventually<Value>(
  _ what: String, limit: Duration = .seconds(60), _ find: () throws -> Value?
) throws -> Value {
  let end = MonotonicClock.now() + limit
  while true {
    if let value = try find() { return value }
    guard MonotonicClock.now() < end else { throw TimedOut("no \(what) within \(limit)") }
    poll(nil, 0, 5)
  }
}
