import CLibEv

/// The watchers of one loop's connections, allocated many at a time: one allocation each would cost a third more memory.
///
/// A block lives as long as the loop, so a slot that was taken back never dangles in libev.
@safe
struct WatcherSlab: ~Copyable {
  /// One connection's watcher, of both directions.
  @safe struct Slot {
    fileprivate let watcher: UnsafeMutablePointer<ev_io>
  }

  private var blocks: [UnsafeMutablePointer<ev_io>] = unsafe []
  /// Those that nobody has, linked through their `data`.
  private var free: UnsafeMutablePointer<ev_io>?

  private static let watchersPerBlock = 128

  deinit {
    // SAFETY: allocated in `grow`; the loop's end stopped every watcher.
    unsafe blocks.forEach { unsafe $0.deallocate() }
  }

  mutating func lend() -> Slot {
    if unsafe free == nil { grow() }
    // SAFETY: grow left at least one; its data was set by `takeBack`.
    let watcher = unsafe free.unsafelyUnwrapped
    unsafe free = watcher.pointee.data?.assumingMemoryBound(to: ev_io.self)
    return unsafe Slot(watcher: watcher)
  }

  /// Takes back a stopped watcher.
  mutating func takeBack(_ slot: Slot) { unsafe takeBack(slot.watcher) }

  private mutating func takeBack(_ watcher: UnsafeMutablePointer<ev_io>) {
    unsafe watcher.pointee.data = unsafe free.map { UnsafeMutableRawPointer($0) }
    unsafe free = watcher
  }

  private mutating func grow() {
    let block = UnsafeMutablePointer<ev_io>.allocate(capacity: Self.watchersPerBlock)
    unsafe block.initialize(repeating: ev_io(), count: Self.watchersPerBlock)
    unsafe blocks.append(block)
    for index in (0..<Self.watchersPerBlock).reversed() { unsafe takeBack(block + index) }
  }
}

extension WatcherSlab.Slot {
  /// Makes the watcher one of `descriptor`, still inactive. Its owner must stop it before it closes the descriptor.
  func prepare(_ descriptor: Int32, owner: AnyObject, callback: @escaping IOWatcher.Callback) {
    // SAFETY: the slot is the caller's and its watcher inactive.
    unsafe lifeline_ev_io_init(watcher, callback, descriptor, 0, Unmanaged.passUnretained(owner).toOpaque())
  }

  /// Watches for these; for neither means stopped, which also discards an event of this turn not yet delivered.
  func watch(reading: Bool, writing: Bool, on loop: EventLoop) {
    let events = (reading ? LIFELINE_EV_READ : 0) | (writing ? LIFELINE_EV_WRITE : 0)
    // SAFETY: as above, and a watcher's events are changed while it is inactive only.
    unsafe ev_io_stop(loop.handle, watcher)
    guard events != 0 else { return }
    unsafe lifeline_ev_io_modify(watcher, Int32(events))
    unsafe ev_io_start(loop.handle, watcher)
  }
}
