/// A peer's address in nine bytes where it is the usual kind, because ten thousand connections each keep one.
enum CompactAddress {
  case ipv4(UInt32, port: UInt16)
  case other(Box)

  final class Box {
    let address: SocketAddress
    init(_ address: SocketAddress) { self.address = address }
  }

  init(_ address: SocketAddress) {
    self = if case .ipv4(let ip, let port) = address { .ipv4(ip.bits, port: port) } else { .other(Box(address)) }
  }

  var address: SocketAddress {
    switch self {
    case .ipv4(let bits, let port): .ipv4(SocketAddress.IPv4(bits: bits), port: port)
    case .other(let box): box.address
    }
  }
}
