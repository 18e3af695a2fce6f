import Locking
import CLibEv
import Glibc

/// Calls a body on the loop whenever the process receives a signal, until cancelled.
///
/// Kept alive by its loop while active.
@safe
public final class SignalWatcher {
  public let number: Int32
  private let loop: EventLoop
  private let body: () -> Void
  private let watcher: UnsafeMutablePointer<ev_signal>
  private var slot: Int?

  init(_ number: Int32, on loop: EventLoop, body: @escaping () -> Void) throws(SystemError) {
    let name = Self.name(of: number)
    guard number > 0, number < 65, number != SIGKILL, number != SIGSTOP else {
      throw SystemError(call: "onSignal", subject: name, code: EINVAL, detail: "this signal cannot be watched")
    }
    guard SignalOwnership.claim(number, for: ObjectIdentifier(loop)) else {
      throw SystemError(
        call: "onSignal", subject: name, code: EBUSY,
        detail: "another loop of this process watches it; one loop owns a signal, so watch it there and post to others")
    }
    self.number = number
    self.loop = loop
    self.body = body
    // SAFETY: freed in deinit, which cannot run while the watcher is active: the loop then holds it.
    unsafe watcher = UnsafeMutablePointer<ev_signal>.allocate(capacity: 1)
    unsafe watcher.initialize(to: ev_signal())
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe lifeline_ev_signal_init(
      watcher,
      { _, watcher, _ in
        guard let data = unsafe watcher?.pointee.data else { return }
        // SAFETY: the loop holds the object while its watcher is active.
        unsafe Unmanaged<SignalWatcher>.fromOpaque(data).takeUnretainedValue().body()
      }, number, me)
    slot = loop.resources.insert(self)
    unsafe ev_signal_start(loop.handle, watcher)
  }

  deinit {
    // SAFETY: inactive, see init.
    unsafe watcher.deallocate()
  }

  /// Stops watching; the signal's default action is back once nobody watches it. Call on the owning loop.
  public func cancel() {
    loop.preconditionOnLoop()
    guard let slot = slot.take() else { return }
    // SAFETY: the watcher is active on this loop.
    unsafe ev_signal_stop(loop.handle, watcher)
    SignalOwnership.release(number)
    loop.letGo(resource: slot)
  }

  private static func name(of number: Int32) -> String {
    switch number {
    case SIGTERM: "SIGTERM"
    case SIGINT: "SIGINT"
    case SIGHUP: "SIGHUP"
    case SIGUSR1: "SIGUSR1"
    case SIGUSR2: "SIGUSR2"
    case SIGQUIT: "SIGQUIT"
    case SIGCHLD: "SIGCHLD"
    case SIGKILL: "SIGKILL"
    case SIGSTOP: "SIGSTOP"
    default: "signal \(number)"
    }
  }
}

extension SignalWatcher: LoopResource {
  func loopDidEnd() { cancel() }
}

@available(*, unavailable) extension SignalWatcher: Sendable {}

/// Who watches which signal: libev aborts the process when two loops watch one, so the second is refused here.
private enum SignalOwnership {
  private struct Claim {
    var owner: ObjectIdentifier
    var watchers: Int
  }

  private static let claims = Locked<[Int32: Claim]>([:])

  static func claim(_ number: Int32, for owner: ObjectIdentifier) -> Bool {
    claims.withLock { claims in
      var claim = claims[number] ?? Claim(owner: owner, watchers: 0)
      guard claim.owner == owner else { return false }
      claim.watchers += 1
      claims[number] = claim
      return true
    }
  }

  static func release(_ number: Int32) {
    claims.withLock { claims in
      guard var claim = claims[number] else { return }
      claim.watchers -= 1
      claims[number] = claim.watchers > 0 ? claim : nil
    }
  }
}
