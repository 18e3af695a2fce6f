/// Carries a value that belongs to a loop through other threads, and gives it out only on the loop's thread.
///
/// This is how a body posted to a mailbox reaches objects that are not `Sendable`. When the last reference goes away
/// on another thread, the value is released on the loop.
public final class LoopBound<Value>: @unchecked Sendable {
  private final class Cargo: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  private let cargo: Cargo
  private let thread: ThreadIdentity
  private let mailbox: Mailbox

  /// Binds `value` to `loop`; call on the owning loop.
  public init(_ value: Value, to loop: EventLoop) {
    loop.preconditionOnLoop()
    cargo = Cargo(value)
    thread = loop.thread
    mailbox = loop.mailbox
  }

  deinit {
    guard thread != .current else { return }
    let cargo = cargo
    mailbox.post { _ = cargo }
  }

  /// The value; traps when read on any thread but the loop's.
  public var value: Value {
    precondition(thread == .current, "a loop-bound value was read on another thread; post to the loop's mailbox")
    return cargo.value
  }
}
