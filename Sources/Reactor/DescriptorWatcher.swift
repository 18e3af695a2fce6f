/// Tells when a descriptor that somebody else owns can be read or written: how a C library with sockets of its own lives
/// on a loop.
///
/// The watcher never touches the descriptor, and must be cancelled before it is closed. Kept alive by its loop until then.
@safe
public final class DescriptorWatcher {
  private let loop: EventLoop
  private var onReady: ((Readiness) -> Void)?
  private var reading: IOWatcher?
  private var writing: IOWatcher?
  private var slot: Int?

  public enum Readiness: Sendable {
    case readable, writable
  }

  /// Watches nothing yet; call on the loop. `onReady` is called in each turn in which what is watched for is the case.
  public init(descriptor: Int32, on loop: EventLoop, _ onReady: @escaping (Readiness) -> Void) {
    loop.preconditionOnLoop()
    self.loop = loop
    self.onReady = onReady
    slot = loop.resources.insert(self)
    reading = unsafe IOWatcher(.read, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withOwner(watcher, as: DescriptorWatcher.self) { $0.onReady?(.readable) }
    }
    writing = unsafe IOWatcher(.write, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withOwner(watcher, as: DescriptorWatcher.self) { $0.onReady?(.writable) }
    }
  }

  /// What is watched for from now on; call on the loop. Does nothing once cancelled.
  public func watch(reading isReading: Bool, writing isWriting: Bool) {
    loop.preconditionOnLoop()
    set(reading, isReading)
    set(writing, isWriting)
  }

  private func set(_ watcher: IOWatcher?, _ isWanted: Bool) {
    guard let watcher, watcher.isActive != isWanted else { return }
    if isWanted { watcher.start() } else { watcher.stop() }
  }

  /// Stops watching for good; call on the loop, before the descriptor is closed. Harmless when repeated.
  public func cancel() {
    loop.preconditionOnLoop()
    guard let slot = slot.take() else { return }
    watch(reading: false, writing: false)
    reading = nil
    writing = nil
    onReady = nil
    loop.letGo(resource: slot)
  }
}

extension DescriptorWatcher: LoopResource {
  func loopDidEnd() { cancel() }
}

@available(*, unavailable) extension DescriptorWatcher: Sendable {}
