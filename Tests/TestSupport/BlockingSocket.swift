import Glibc
public import Reactor

/// A plain blocking client socket: the peer that a test drives step by step. Every wait is bounded by a minute.
public final class BlockingSocket {
  public private(set) var descriptor: Int32

  public struct Failure: Error, CustomStringConvertible {
    public let call: String
    public let code: Int32
    public var description: String { SystemError(call: call, code: code).description }
  }

  /// Connects over IPv4 or a Unix-domain socket.
  public init(to address: SocketAddress, receiveBufferBytes: Int32? = nil) throws {
    var storage = sockaddr_storage()
    let length: Int
    let family: Int32
    switch address {
    case .ipv4(let ip, let port):
      family = AF_INET
      length = MemoryLayout<sockaddr_in>.size
      withUnsafeMutableBytes(of: &storage) {
        $0.storeBytes(
          of: sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
            sin_addr: in_addr(s_addr: ip.bits.bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0)),
          as: sockaddr_in.self)
      }
    case .unix(let path):
      family = AF_UNIX
      length = 2 + path.utf8.count + 1
      storage.ss_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &storage) { bytes in
        for (index, byte) in path.utf8.enumerated() { bytes[2 + index] = byte }
      }
    case .ipv6: throw Failure(call: "socket", code: EAFNOSUPPORT)
    }
    descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0)
    guard descriptor >= 0 else { throw Failure(call: "socket", code: errno) }
    var bound = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
    if var bytes = receiveBufferBytes {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
    }
    let result = withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(length)) }
    }
    guard result == 0 else {
      let code = errno
      close()
      throw Failure(call: "connect", code: code)
    }
  }

  deinit { close() }

  /// Sends everything.
  public func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Failure(call: "send", code: errno) }
      sent += count
    }
  }

  public func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// What the next read brings, at most `limit` bytes; empty at the end of the stream.
  public func receive(atMost limit: Int = 65_536) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    while true {
      let count = recv(descriptor, &bytes, limit, 0)
      if count >= 0 { return Array(bytes[..<count]) }
      if errno != EINTR { throw Failure(call: "recv", code: errno) }
    }
  }

  /// Exactly `count` bytes, or what came before the end of the stream.
  public func receive(exactly count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let part = try receive(atMost: min(count - bytes.count, 1 << 20))
      if part.isEmpty { break }
      bytes += part
    }
    return bytes
  }

  /// Everything until the end of the stream.
  public func receiveToEnd() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let part = try receive()
      if part.isEmpty { return bytes }
      bytes += part
    }
  }

  /// Ends our direction.
  public func shutdownWrite() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  /// Closes with RST.
  public func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  public func close() {
    guard descriptor >= 0 else { return }
    _ = Glibc.close(descriptor)
    descriptor = -1
  }
}
