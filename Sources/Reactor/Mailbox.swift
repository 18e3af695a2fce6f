import Locking
import CLibEv

/// The only door into a loop from another thread.
///
/// A batch of posts costs one wake-up. What `post` accepted always runs, on the loop's thread, in the order of the
/// posts of each thread.
public final class Mailbox: Sendable {
  enum Letter {
    case plain(@Sendable () -> Void)
    case withLoop(@Sendable (EventLoop) -> Void)
  }

  @safe private struct State {
    var letters: [Letter] = []
    var loop: OpaquePointer?
    var watcher: UnsafeMutablePointer<ev_async>?
  }

  private let state = Locked(State())

  init() {}

  /// Runs `body` on the loop's thread in one of its next turns; callable from any thread, including the loop's own.
  ///
  /// Returns false, and drops `body`, once the loop has ended.
  @discardableResult
  public func post(_ body: @escaping @Sendable () -> Void) -> Bool { post(.plain(body)) }

  /// As `post`, for a body that needs the loop itself: to set a timer, say, or to send.
  @discardableResult
  public func post(_ body: @escaping @Sendable (EventLoop) -> Void) -> Bool { post(.withLoop(body)) }

  private func post(_ letter: Letter) -> Bool {
    state.withLock { state in
      // SAFETY: both pointers are valid until close() clears them under this lock.
      guard let loop = unsafe state.loop, let watcher = unsafe state.watcher else { return false }
      state.letters.append(letter)
      if state.letters.count == 1 { unsafe ev_async_send(loop, watcher) }
      return true
    }
  }

  func open(loop: OpaquePointer, watcher: UnsafeMutablePointer<ev_async>) {
    state.withLock { state in
      unsafe state.loop = loop
      unsafe state.watcher = watcher
    }
  }

  /// Moves the waiting letters into `batch`, which must be empty and whose storage is reused for the next ones.
  func take(into batch: inout [Letter]) {
    state.withLock { swap(&$0.letters, &batch) }
  }

  /// Refuses letters from now on and hands out those already accepted.
  func close() -> [Letter] {
    state.withLock { state in
      unsafe state.loop = nil
      unsafe state.watcher = nil
      defer { state.letters = [] }
      return state.letters
    }
  }

  /// Makes the loop's next wait return at once.
  func wake() {
    state.withLock { state in
      // SAFETY: as in post.
      guard let loop = unsafe state.loop, let watcher = unsafe state.watcher else { return }
      unsafe ev_async_send(loop, watcher)
    }
  }
}
