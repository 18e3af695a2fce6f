import Reactor

/// One connection through the proxy: what arrives at one end leaves at the other.
final class FaultLink: ConnectionDelegate {
  private unowned let proxy: FaultProxy
  private let near: Connection
  private var far: Connection?
  /// Arrived before the target was reached.
  private var waiting: [UInt8] = []
  var isDead: Bool

  init(_ near: Connection, proxy: FaultProxy) {
    self.proxy = proxy
    self.near = near
    isDead = proxy.isBlackHole
    near.delegate = self
    _ = Connection.connect(to: proxy.target, on: proxy.loop, timeout: .seconds(5)) { [self] result in
      guard case .success(let far) = result, near.isOpen else { return near.abort() }
      far.delegate = self
      self.far = far
      if !waiting.isEmpty { far.send(waiting) }
      waiting = []
    }
  }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    guard !isDead else { return }
    let direction: FaultProxy.Direction = connection === near ? .up : .down
    let remaining = proxy.remaining[direction]
    let count = min(bytes.byteCount, remaining ?? .max)
    forward(bytes.bytes.extracting(first: count), direction)
    guard let remaining else { return }
    proxy.remaining[direction] = remaining - count
    guard remaining == count else { return }
    // A reset overtakes what the kernel still holds, so the last bytes get a moment to arrive.
    let proxy = self.proxy
    proxy.loop.schedule(after: .milliseconds(5)) { [weak proxy] in proxy?.cut() }
  }

  private func forward(_ bytes: RawSpan, _ direction: FaultProxy.Direction) {
    if direction == .up { proxy.bytesUp += bytes.byteCount }
    if let destination = direction == .up ? far : near {
      destination.send(bytes)
      destination.flush()
    } else {
      for offset in 0..<bytes.byteCount {
        // SAFETY: the offset is within the span, and any bit pattern is a UInt8.
        waiting.append(unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
      }
    }
  }

  func connectionDidReachEndOfStream(_ connection: Connection) {
    guard !isDead else { return }
    near.close()
    far?.close()
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    // In a black hole nobody hears that the other side has gone.
    guard !(isDead && proxy.isBlackHole) else { return }
    cut()
  }

  func cut() {
    near.abort()
    far?.abort()
    proxy.links[ObjectIdentifier(self)] = nil
  }
}
