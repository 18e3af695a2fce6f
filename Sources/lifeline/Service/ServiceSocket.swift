import Glibc
import Reactor

/// The service manager's datagram socket, by the name that `NOTIFY_SOCKET` gives: a path, or `@NAME` for an abstract one.
final class ServiceSocket {
  enum Outcome: Equatable {
    case sent
    /// The service manager is behind; another try may do.
    case full
    case failed(SystemError)
  }

  let name: String
  private let descriptor: Int32
  private var address = sockaddr_un()
  private let length: socklen_t

  /// - Parameter name: as sd_notify(3) has it.
  init(_ name: String) throws(SystemError) {
    self.name = name
    let bytes = Array(name.utf8)
    guard let first = bytes.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@"),
      (2...SocketAddress.maxUnixPathBytes).contains(bytes.count)
    else {
      throw SystemError(
        call: "NOTIFY_SOCKET", subject: name, code: EAFNOSUPPORT,
        detail: "it must be a path from / on, or @ and a name, of 2 to \(SocketAddress.maxUnixPathBytes) bytes")
    }
    address.sun_family = sa_family_t(AF_UNIX)
    // SAFETY: the field holds one byte more than the longest name, and starts zeroed.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { field in
      for (index, byte) in bytes.enumerated() { unsafe field[index] = byte }
      // An abstract name begins with a NUL instead, and ends with its last byte (unix(7)).
      if first == UInt8(ascii: "@") { unsafe field[0] = 0 }
    }
    let isPath = first == UInt8(ascii: "/")
    length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (isPath ? 1 : 0))
    // It must not stop the loop: a service manager that reads nothing would end us by its watchdog otherwise.
    let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    descriptor = socket(AF_UNIX, kind, 0)
    guard descriptor >= 0 else { throw SystemError(call: "socket", subject: name, code: errno) }
  }

  deinit { close(descriptor) }

  func send(_ text: String) -> Outcome {
    let bytes = Array(text.utf8)
    while true {
      // SAFETY: the kernel reads the local array and the address during the call; sockaddr is the header of every form.
      let count = unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
          unsafe sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), pointer, length)
        }
      }
      if count >= 0 { return .sent }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS: return .full
      case let code: return .failed(SystemError(call: "sendto", subject: name, code: code))
      }
    }
  }
}
