import CLibEv

/// A heap-allocated `ev_io` for one descriptor and one direction.
///
/// Its owner must stop it before the descriptor is closed, or a stale event reaches the number's next owner, and must be
/// kept alive by the loop while the watcher is active.
@safe
final class IOWatcher {
  private let loop: OpaquePointer
  private let watcher: UnsafeMutablePointer<ev_io>

  typealias Callback = @convention(c) (OpaquePointer?, UnsafeMutablePointer<ev_io>?, Int32) -> Void

  enum Interest { case read, write }

  init(_ interest: Interest, of descriptor: Int32, on loop: EventLoop, owner: AnyObject, callback: @escaping Callback) {
    // SAFETY: the loop's handle is valid while its watchers are active; freed in deinit after stop.
    unsafe self.loop = loop.handle
    unsafe watcher = UnsafeMutablePointer<ev_io>.allocate(capacity: 1)
    unsafe watcher.initialize(to: ev_io())
    let events = interest == .read ? LIFELINE_EV_READ : LIFELINE_EV_WRITE
    unsafe lifeline_ev_io_init(
      watcher, callback, descriptor, Int32(events), Unmanaged.passUnretained(owner).toOpaque())
  }

  deinit {
    // SAFETY: stopping an inactive watcher does nothing.
    unsafe ev_io_stop(loop, watcher)
    unsafe watcher.deallocate()
  }

  var isActive: Bool {
    // SAFETY: allocated until deinit.
    unsafe lifeline_ev_io_is_active(watcher) != 0
  }

  func start() {
    // SAFETY: initialised in init; starting an active watcher does nothing.
    unsafe ev_io_start(loop, watcher)
  }

  /// Also discards an event of this turn that was not delivered yet.
  func stop() {
    // SAFETY: as in start.
    unsafe ev_io_stop(loop, watcher)
  }

  /// Calls `body` with a watcher's owner, held during the call: the loop may let go of it in there.
  static func withOwner<Owner: AnyObject>(
    _ watcher: UnsafeMutablePointer<ev_io>?, as type: Owner.Type, _ body: (Owner) -> Void
  ) {
    guard let data = unsafe watcher?.pointee.data else { return }
    // SAFETY: the loop holds the owner while its watcher is active, so it is alive when libev calls.
    let owner = unsafe Unmanaged<Owner>.fromOpaque(data).takeUnretainedValue()
    withExtendedLifetime(owner) { body(owner) }
  }

  /// As `withOwner` without the cost of holding, for an owner that its loop lets go of at the end of a turn only.
  @inline(__always)
  static func withResidentOwner<Owner: AnyObject>(
    _ watcher: UnsafeMutablePointer<ev_io>?, as type: Owner.Type, _ body: (Owner) -> Void
  ) {
    guard let data = unsafe watcher?.pointee.data else { return }
    // SAFETY: alive when libev calls, and until the end of the turn by the caller's promise.
    unsafe Unmanaged<Owner>.fromOpaque(data)._withUnsafeGuaranteedRef { body($0) }
  }
}
