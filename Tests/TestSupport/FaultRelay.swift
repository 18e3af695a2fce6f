public import FaultProxy
public import Reactor

/// A `FaultProxy` on a thread of its own, for tests that wait on theirs.
public final class FaultRelay: Sendable {
  private let server: RunningServer
  private let proxy: LoopBound<FaultProxy>

  /// Relays to `target` from an address of its own.
  public init(to target: SocketAddress) throws {
    let made = Exchange<LoopBound<FaultProxy>>()
    server = try RunningServer { loop in
      let proxy = try FaultProxy(to: target, on: loop)
      made.put(LoopBound(proxy, to: loop))
      return proxy.address
    }
    proxy = made.take()
  }

  public var address: SocketAddress { server.address }
  public var url: String { "ws://127.0.0.1:\(server.address.port ?? 0)" }

  private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (FaultProxy) -> Value) -> Value {
    let proxy = self.proxy
    return server.onLoop { _ in body(proxy.value) }
  }

  /// Connections accepted so far.
  public var accepted: Int { onLoop { $0.accepted } }
  /// Bytes relayed towards the coordinator so far, over all connections.
  public var bytesUp: Int { onLoop { $0.bytesUp } }

  /// Bytes relayed from it.
  public var bytesDown: Int { onLoop { $0.statistics.bytes[.down] ?? 0 } }

  /// Bytes that were changed on the way, in either direction.
  public var corruptedBytes: Int { onLoop { $0.statistics.corruptedBytes.values.reduce(0, +) } }

  /// From now on one byte in so many is changed on the way, on average; `nil`: none.
  public func setCorruption(oneIn count: Int?, _ direction: FaultProxy.Direction) {
    onLoop { $0.faults[direction].corruptsOneIn = count }
  }

  /// Resets every connection now.
  public func cut() { onLoop { $0.cut() } }

  /// Relays `bytes` more in one direction, and then resets every connection.
  public func cut(after bytes: Int, _ direction: FaultProxy.Direction) { onLoop { $0.cut(after: bytes, direction) } }

  /// From now on nothing passes, in either direction, and nobody is told.
  public func setBlackHole(_ isOn: Bool) { onLoop { $0.setBlackHole(isOn) } }

  /// At most so many bytes pass in a second from now on, over each connection.
  public func setBandwidth(_ bytesPerSecond: Int?, _ direction: FaultProxy.Direction) {
    onLoop { $0.faults[direction].bytesPerSecond = bytesPerSecond }
  }

  /// New connections are reset at once.
  public func setRefusing(_ isOn: Bool) { onLoop { $0.isRefusing = isOn } }

  public func stop() { server.stop() }
}
