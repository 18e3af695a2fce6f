import Glibc

/// Where a stream socket listens or connects: an internet address with a port, or a Unix-domain path.
public enum SocketAddress: Sendable, Hashable, CustomStringConvertible {
  case ipv4(IPv4, port: UInt16)
  case ipv6(IPv6, port: UInt16)
  /// At most 107 bytes; empty for the peer of an unnamed socket.
  case unix(path: String)

  /// Four bytes in network order, as one big-endian number.
  public struct IPv4: Sendable, Hashable {
    public var bits: UInt32
    public init(bits: UInt32) { self.bits = bits }
  }

  /// Sixteen bytes in network order, as two big-endian numbers, and the interface of a link-local address.
  public struct IPv6: Sendable, Hashable {
    public var high: UInt64
    public var low: UInt64
    public var scope: UInt32
    public init(high: UInt64, low: UInt64, scope: UInt32 = 0) {
      self.high = high
      self.low = low
      self.scope = scope
    }
  }

  /// The longest path a Unix-domain address holds, in bytes.
  public static let maxUnixPathBytes = 107

  /// Reads a numeric address: `127.0.0.1`, `::1` or `[::1]`; nil for anything else, names included.
  public init?(ip: String, port: UInt16) {
    var text = ip[...]
    if text.first == "[", text.last == "]" { text = text.dropFirst().dropLast() }
    let literal = String(text)
    guard !literal.utf8.contains(0) else { return nil }
    var four = in_addr()
    // SAFETY: inet_pton fills the local of the size its family needs.
    if unsafe inet_pton(AF_INET, literal, &four) == 1 {
      self = .ipv4(IPv4(bits: UInt32(bigEndian: four.s_addr)), port: port)
      return
    }
    var six = in6_addr()
    // SAFETY: as above.
    guard unsafe inet_pton(AF_INET6, literal, &six) == 1 else { return nil }
    self = .ipv6(IPv6(six, scope: 0), port: port)
  }

  /// 127.0.0.1; port 0 lets the system choose when listening.
  public static func loopback(port: UInt16 = 0) -> SocketAddress { .ipv4(IPv4(bits: 0x7f00_0001), port: port) }

  /// 0.0.0.0: every IPv4 interface.
  public static func anyIPv4(port: UInt16 = 0) -> SocketAddress { .ipv4(IPv4(bits: 0), port: port) }

  /// The port of an internet address; nil for a Unix-domain path.
  public var port: UInt16? {
    switch self {
    case .ipv4(_, let port), .ipv6(_, let port): port
    case .unix: nil
    }
  }

  /// The address without its port, as `SocketAddress(ip:port:)` reads it, or the path.
  public var host: String {
    switch self {
    case .ipv4(let address, _):
      let bits = address.bits
      return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
    case .ipv6(let address, _):
      var raw = address.raw
      return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
        // SAFETY: the buffer holds the longest text plus its terminator.
        guard let start = buffer.baseAddress,
          unsafe inet_ntop(AF_INET6, &raw, start, socklen_t(INET6_ADDRSTRLEN)) != nil
        else { return "::" }
        return unsafe String(cString: start)
      }
    case .unix(let path): return path
    }
  }

  public var description: String {
    switch self {
    case .ipv4(_, let port): "\(host):\(port)"
    case .ipv6(_, let port): "[\(host)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// Whether only this machine can reach it: 127.0.0.0/8, ::1, or a Unix-domain socket.
  public var isLoopback: Bool {
    guard isInternet else { return true }
    let host = host
    // An IPv4 address in IPv6 form is the same address (RFC 4291 §2.5.5.2).
    return host == "::1" || host.hasPrefix("127.") || host.hasPrefix("::ffff:127.")
  }

  var isInternet: Bool {
    if case .unix = self { false } else { true }
  }

  var family: Int32 {
    switch self {
    case .ipv4: AF_INET
    case .ipv6: AF_INET6
    case .unix: AF_UNIX
    }
  }
}

extension SocketAddress.IPv6 {
  init(_ raw: in6_addr, scope: UInt32) {
    // SAFETY: every view of the sixteen bytes is valid.
    let words = unsafe raw.__in6_u.__u6_addr32
    high = UInt64(UInt32(bigEndian: words.0)) << 32 | UInt64(UInt32(bigEndian: words.1))
    low = UInt64(UInt32(bigEndian: words.2)) << 32 | UInt64(UInt32(bigEndian: words.3))
    self.scope = scope
  }

  var raw: in6_addr {
    var raw = in6_addr()
    // SAFETY: as above.
    unsafe raw.__in6_u.__u6_addr32 = (
      UInt32(truncatingIfNeeded: high >> 32).bigEndian, UInt32(truncatingIfNeeded: high).bigEndian,
      UInt32(truncatingIfNeeded: low >> 32).bigEndian, UInt32(truncatingIfNeeded: low).bigEndian
    )
    return raw
  }
}

// The kernel's form, and back.
extension SocketAddress {
  /// Lends the address as the kernel reads it; fails with `ENAMETOOLONG` on a path that does not fit.
  func withKernelForm<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) throws(SystemError) -> Result {
    var storage = sockaddr_storage()
    let length: Int
    switch self {
    case .ipv4(let address, let port):
      length = MemoryLayout<sockaddr_in>.size
      // SAFETY: sockaddr_storage is large and aligned enough for every family's form.
      unsafe withUnsafeMutableBytes(of: &storage) { bytes in
        let form = sockaddr_in(
          sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian, sin_addr: in_addr(s_addr: address.bits.bigEndian),
          sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
        unsafe bytes.storeBytes(of: form, as: sockaddr_in.self)
      }
    case .ipv6(let address, let port):
      length = MemoryLayout<sockaddr_in6>.size
      // SAFETY: as above.
      unsafe withUnsafeMutableBytes(of: &storage) { bytes in
        let form = sockaddr_in6(
          sin6_family: sa_family_t(AF_INET6), sin6_port: port.bigEndian, sin6_flowinfo: 0, sin6_addr: address.raw,
          sin6_scope_id: address.scope)
        unsafe bytes.storeBytes(of: form, as: sockaddr_in6.self)
      }
    case .unix(let path):
      let count = path.utf8.count
      guard count > 0, count <= Self.maxUnixPathBytes, !path.utf8.contains(0) else {
        throw SystemError(
          call: "socket address", subject: "\(self)", code: count == 0 ? EINVAL : ENAMETOOLONG,
          detail: "a Unix-domain path has 1 to \(Self.maxUnixPathBytes) bytes and no NUL; this one has \(count)")
      }
      let offset = MemoryLayout<sa_family_t>.size
      length = offset + count + 1
      storage.ss_family = sa_family_t(AF_UNIX)
      // SAFETY: count + 1 bytes after the family fit sockaddr_un, hence the storage, which starts zeroed.
      unsafe withUnsafeMutableBytes(of: &storage) { bytes in
        for (index, byte) in path.utf8.enumerated() { unsafe bytes[offset + index] = byte }
      }
    }
    // SAFETY: sockaddr is the common header of every form; the pointer is valid during the call.
    return unsafe withUnsafePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, socklen_t(length)) }
    }
  }

  /// Reads what the kernel wrote; nil for a family that is none of ours.
  init?(_ storage: sockaddr_storage, length: socklen_t) {
    let value: SocketAddress? = unsafe withUnsafeBytes(of: storage) { bytes in
      // SAFETY: every form fits sockaddr_storage.
      switch Int32(storage.ss_family) {
      case AF_INET:
        let form = unsafe bytes.loadUnaligned(as: sockaddr_in.self)
        return .ipv4(IPv4(bits: UInt32(bigEndian: form.sin_addr.s_addr)), port: UInt16(bigEndian: form.sin_port))
      case AF_INET6:
        let form = unsafe bytes.loadUnaligned(as: sockaddr_in6.self)
        return .ipv6(IPv6(form.sin6_addr, scope: form.sin6_scope_id), port: UInt16(bigEndian: form.sin6_port))
      case AF_UNIX:
        let offset = MemoryLayout<sa_family_t>.size
        let end = min(Int(length), offset + Self.maxUnixPathBytes + 1)
        guard end > offset else { return .unix(path: "") }
        let path = unsafe bytes[offset..<end].prefix { $0 != 0 }
        return unsafe .unix(path: String(decoding: path, as: UTF8.self))
      default: return nil
      }
    }
    guard let value else { return nil }
    self = value
  }

  /// The address a socket is bound to.
  static func local(of descriptor: Int32) -> SocketAddress? {
    unsafe filled { unsafe getsockname(descriptor, $0, $1) == 0 }
  }

  /// Reads the address that `call` fills in; nil when it returns false.
  static func filled(
    _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Bool
  ) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    // SAFETY: the kernel writes at most `length` bytes into the local storage.
    let good = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe call($0, &length) }
    }
    return good ? SocketAddress(storage, length: length) : nil
  }
}
