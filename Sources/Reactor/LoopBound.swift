/// Carries a value that belongs to a loop through other threads, and gives it out only on the loop's thread.
///
/// This is how a body posted to a mailbox reaches objects that are not `Sendable`. When the last reference goes away
/// on another thread, the value is released on the loop.
@safe
public final class LoopBound<Value>: @unchecked Sendable {
  private final class Cargo: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  /// Retained by hand, so that no hidden release of ours can come after the loop's and be the last one.
  private let cargo: Unmanaged<Cargo>
  private let thread: ThreadIdentity
  private let mailbox: Mailbox

  /// Binds `value` to `loop`; call on the owning loop.
  public init(_ value: Value, to loop: EventLoop) {
    loop.preconditionOnLoop()
    // SAFETY: deinit gives this retain back, once.
    unsafe cargo = Unmanaged.passRetained(Cargo(value))
    thread = loop.thread
    mailbox = loop.mailbox
  }

  deinit {
    let cargo = unsafe cargo
    // SAFETY: nobody can reach the value through self any more; a refused post drops its body without running it.
    if thread == .current || !mailbox.post({ unsafe cargo.release() }) { unsafe cargo.release() }
  }

  /// The value; traps when read on any thread but the loop's.
  public var value: Value {
    precondition(thread == .current, "a loop-bound value was read on another thread; post to the loop's mailbox")
    // SAFETY: retained until deinit.
    return unsafe cargo._withUnsafeGuaranteedRef { $0.value }
  }
}
