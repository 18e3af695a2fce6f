import Reactor

/// How many connections a server takes; what comes beyond is cut unheard, at no cost of memory.
///
/// Whoever wants to answer instead says no in `accept` from a smaller number on: see `WebSocketServer.connectionCount`.
public struct ConnectionLimits: Hashable, Sendable {
  /// Of all connections, those in the handshake and those that are closing included.
  public var maxConnections = Int.max
  /// Of those from one IPv4 address, or from one IPv6 network of 64 bits, which is what one site has.
  public var maxConnectionsPerAddress = Int.max

  public init() {}
}

/// Counts a server's connections by where they come from.
struct ConnectionCensus {
  /// Whose connections are counted together.
  private struct Origin: Hashable {
    let kind: UInt8
    let bits: UInt64

    init(_ address: SocketAddress) {
      switch address {
      case .ipv4(let address, _): self.init(4, UInt64(address.bits))
      // IPv4 in IPv6 clothes (RFC 4291 §2.5.5.2): its first 64 bits are everybody's.
      case .ipv6(let address, _) where address.high == 0 && address.low >> 32 == 0xFFFF:
        self.init(4, address.low & 0xFFFF_FFFF)
      case .ipv6(let address, _): self.init(6, address.high)
      case .unix: self.init(0, 0)
      }
    }

    private init(_ kind: UInt8, _ bits: UInt64) {
      self.kind = kind
      self.bits = bits
    }
  }

  private var counts: [Origin: Int] = [:]
  private(set) var total = 0

  func count(from address: SocketAddress) -> Int { counts[Origin(address)] ?? 0 }

  func hasRoom(for address: SocketAddress, _ limits: ConnectionLimits) -> Bool {
    total < limits.maxConnections && count(from: address) < limits.maxConnectionsPerAddress
  }

  mutating func add(_ address: SocketAddress) {
    counts[Origin(address), default: 0] += 1
    total += 1
  }

  mutating func remove(_ address: SocketAddress) {
    let origin = Origin(address)
    guard let count = counts[origin] else { return }
    counts[origin] = count > 1 ? count - 1 : nil
    total -= 1
  }
}
