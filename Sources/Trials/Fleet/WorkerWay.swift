import FaultProxy
import Primitives
import Reactor

/// All that stands between a worker and the coordinators that it may connect to: a proxy for each, with faults in common.
final class WorkerWay {
  private let proxies: [FaultProxy]

  init(to coordinators: [SocketAddress], seed: UInt64, on loop: EventLoop) throws(SystemError) {
    var proxies: [FaultProxy] = []
    for (index, address) in coordinators.enumerated() {
      proxies.append(try FaultProxy(to: address, seed: seed &+ UInt64(index) << 32, on: loop))
    }
    self.proxies = proxies
  }

  /// What the worker is told of its coordinators.
  var urls: [String] { proxies.map { "ws://127.0.0.1:\($0.address.port ?? 0)" } }

  /// Whether the worker is connected to this coordinator, by its place among them.
  func leads(to coordinator: Int) -> Bool {
    proxies.indices.contains(coordinator) && proxies[coordinator].openConnections > 0
  }

  var faults: FaultTable {
    get { proxies.first?.faults ?? FaultTable() }
    set { for proxy in proxies { proxy.faults = newValue } }
  }

  func cut() { for proxy in proxies { proxy.cut() } }

  /// Of several connections in turn each may pass so many bytes: a worker has one at a time.
  func cut(after bytes: Int, _ direction: FaultDirection) {
    for proxy in proxies { proxy.cut(after: bytes, direction) }
  }

  func setBlackHole(_ isOn: Bool) { for proxy in proxies { proxy.setBlackHole(isOn) } }
  func leaveHalfOpen(gone end: FaultProxy.End) { for proxy in proxies { proxy.leaveHalfOpen(gone: end) } }
  func close() { for proxy in proxies { proxy.close() } }

  /// Ends every fault. A connection that lost bytes has a hole in it, and is nobody's any more.
  func mend() {
    for proxy in proxies {
      let hasHole = FaultDirection.allCases.contains { proxy.faults[$0].delivery == .dropped }
      proxy.heal()
      if hasHole { proxy.cut() }
    }
  }

  var corruptedBytes: Int { proxies.reduce(0) { $0 + $1.statistics.corruptedBytes.values.reduce(0, +) } }
  var droppedBytes: Int { proxies.reduce(0) { $0 + $1.statistics.droppedBytes.values.reduce(0, +) } }
}
