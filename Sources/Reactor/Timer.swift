import CLibEv
public import Primitives

/// Calls its body once, at a deadline that can be moved cheaply.
///
/// Starting again before it fired moves the deadline; a later deadline is only stored and checked when the underlying
/// timer fires, so an idle timeout may be restarted on every message. An active timer is kept alive by its loop.
@safe
public final class Timer {
  private let loop: EventLoop
  private let body: () -> Void
  private let watcher: UnsafeMutablePointer<ev_timer>
  /// When the body is called; `distantFuture` unless active.
  public private(set) var deadline = Instant.distantFuture
  private var wakeUp = Instant.distantFuture
  private var slot: Int?

  init(loop: EventLoop, body: @escaping () -> Void) {
    self.loop = loop
    self.body = body
    // SAFETY: freed in deinit, which cannot run while the watcher is active: the loop then holds the timer.
    unsafe watcher = UnsafeMutablePointer<ev_timer>.allocate(capacity: 1)
    unsafe watcher.initialize(to: ev_timer())
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe lifeline_ev_timer_init(
      watcher,
      { _, watcher, _ in
        guard let data = unsafe watcher?.pointee.data else { return }
        // SAFETY: the loop holds the timer while its watcher is active.
        unsafe Unmanaged<Timer>.fromOpaque(data).takeUnretainedValue().fire()
      }, me)
  }

  deinit {
    // SAFETY: inactive, see init.
    unsafe watcher.deallocate()
  }

  /// True from `start` until the body is called or `cancel`.
  public var isActive: Bool { slot != nil }

  /// Calls the body once, `after` from the loop's `now`; never earlier. Call on the owning loop.
  ///
  /// Replaces an earlier start. A negative duration means the next turn. Does nothing once the loop has ended.
  public func start(after: Duration) {
    loop.preconditionOnLoop()
    guard !loop.hasEnded else { return }
    deadline = loop.now + max(after, .zero)
    if slot != nil {
      if deadline >= wakeUp { return }
      // SAFETY: the watcher is initialised and belongs to this loop.
      unsafe ev_timer_stop(loop.handle, watcher)
    } else {
      slot = loop.timers.insert(self)
    }
    arm()
  }

  /// Forgets the deadline; the body is not called. Call on the owning loop.
  public func cancel() {
    loop.preconditionOnLoop()
    guard slot != nil else { return }
    // SAFETY: the watcher is active on this loop.
    unsafe ev_timer_stop(loop.handle, watcher)
    release()
  }

  private func arm() {
    wakeUp = deadline
    // SAFETY: the watcher is initialised and not active.
    unsafe lifeline_ev_timer_set(watcher, min((deadline - loop.now).inSeconds, longestWait))
    unsafe ev_timer_start(loop.handle, watcher)
  }

  private func fire() {
    guard slot != nil else { return }
    guard loop.now >= deadline else {
      arm()
      return
    }
    release()
    body()
  }

  private func release() {
    guard let slot = slot.take() else { return }
    deadline = .distantFuture
    loop.letGo(timer: slot)
  }

  func loopDidEnd() { cancel() }
}

/// libev adds the wait to its clock as a floating-point number; a month keeps that exact to the microsecond, and a
/// deadline further away is armed again when it passes.
private let longestWait = 30.0 * 86_400

@available(*, unavailable) extension Timer: Sendable {}
