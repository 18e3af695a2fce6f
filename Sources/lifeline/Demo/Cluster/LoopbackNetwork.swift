import FaultProxy
import Reactor
import Trials

/// Every machine an address of this one's loopback, and every line a fault proxy: where namespaces are not allowed.
final class LoopbackNetwork: ClusterNetwork {
  private let loop: EventLoop
  private var ports: [String: UInt16] = [:]
  private var proxies: [ClusterLine: [String: FaultProxy]] = [.front: [:], .data: [:]]

  init(on loop: EventLoop) { self.loop = loop }

  let summary = "loopback addresses, a fault proxy on every line"
  let databaseNetwork: DatabaseServer.Network? = nil
  func build(_ ready: @escaping (String?) -> Void) { ready(nil) }
  func prefix(of machine: String) -> [String] { [] }

  private static func host(_ coordinator: String, _ base: Int) -> String {
    "127.0.0.\(base + (ClusterMachines.coordinators.firstIndex(of: coordinator) ?? 0))"
  }

  func listening(_ coordinator: String) -> [String] {
    ["--host", Self.host(coordinator, 11), "--port", "\(ports[coordinator] ?? 0)"]
  }

  func store(for coordinator: String, _ server: DatabaseServer) throws -> String {
    let host = Self.host(coordinator, 31)
    if proxies[.data]?[coordinator] == nil, let address = SocketAddress(ip: host, port: 0) {
      proxies[.data]?[coordinator] = try FaultProxy(to: server.socket, at: address, on: loop)
    }
    return DatabaseServer.url(host: host, port: proxies[.data]?[coordinator]?.address.port ?? 0)
  }

  func opened(_ coordinator: String, port: UInt16) throws {
    ports[coordinator] = port
    guard proxies[.front]?[coordinator] == nil,
      let target = SocketAddress(ip: Self.host(coordinator, 11), port: port),
      let address = SocketAddress(ip: Self.host(coordinator, 21), port: 0)
    else { return }
    proxies[.front]?[coordinator] = try FaultProxy(to: target, at: address, on: loop)
  }

  func url(of coordinator: String) -> String {
    "ws://\(Self.host(coordinator, 21)):\(proxies[.front]?[coordinator]?.address.port ?? 0)"
  }

  func setCut(_ isCut: Bool, _ coordinator: String, from line: ClusterLine) {
    let proxy = proxies[line]?[coordinator]
    if isCut { proxy?.setBlackHole(true) } else { proxy?.heal() }
  }

  func close() { for proxy in proxies.values.flatMap(\.values) { proxy.close() } }
}
