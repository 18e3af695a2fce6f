public import WebSocket
import Glibc

/// Where the load goes: an address that is known without asking anyone.
public struct LoadTarget: Sendable {
  public let url: WebSocketURL
  private let bytes: [UInt8]
  private let family: Int32

  /// Whether packets to it stay on this machine.
  public let isLoopback: Bool

  /// `nil` unless the host is an IPv4 or IPv6 address, or `localhost`.
  public init?(_ url: WebSocketURL) {
    self.url = url
    let host = url.host.lowercased() == "localhost" ? "127.0.0.1" : url.host
    var v4 = sockaddr_in()
    var v6 = sockaddr_in6()
    if inet_pton(AF_INET, host, &v4.sin_addr) == 1 {
      v4.sin_family = sa_family_t(AF_INET)
      v4.sin_port = url.port.bigEndian
      bytes = withUnsafeBytes(of: &v4) { Array($0) }
      family = AF_INET
      isLoopback = UInt32(bigEndian: v4.sin_addr.s_addr) >> 24 == 127
    } else if inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 {
      v6.sin6_family = sa_family_t(AF_INET6)
      v6.sin6_port = url.port.bigEndian
      bytes = withUnsafeBytes(of: &v6) { Array($0) }
      family = AF_INET6
      isLoopback = withUnsafeBytes(of: &v6.sin6_addr) { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 }
    } else {
      return nil
    }
  }

  /// A connected socket. It blocks: on loopback a connection is made at once, or refused.
  func connect() throws(LoadError) -> Int32 {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system("socket") }
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    let status = bytes.withUnsafeBytes { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { Glibc.connect(descriptor, $0.baseAddress, socklen_t(bytes.count)) }
    }
    guard status == 0 else {
      let error = LoadError.system("connect to \(url)")
      close(descriptor)
      throw error
    }
    return descriptor
  }
}
