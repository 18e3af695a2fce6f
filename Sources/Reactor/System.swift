import CLibEv
import Glibc

/// What a nonblocking read or write came to; `EINTR` was retried.
enum Transfer: Equatable {
  case bytes(Int)
  case endOfStream
  case wouldBlock
  case failed(Int32)
}

/// The system calls on descriptors: `EINTR` is retried and `errno` read in this one place.
enum System {
  @inline(__always)
  private static func retrying(_ call: () -> Int) -> Transfer {
    while true {
      let result = call()
      if result > 0 { return .bytes(result) }
      if result == 0 { return .endOfStream }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code: return .failed(code)
      }
    }
  }

  static func receive(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    // SAFETY: the kernel writes at most `count` bytes into the caller's buffer.
    retrying { unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0) }
  }

  static func send(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) -> Transfer {
    // SAFETY: the kernel reads at most `count` bytes of the caller's buffer.
    retrying { unsafe Glibc.send(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL)) }
  }

  /// Sends what waits, then `head`, then `body`.
  static func send(
    _ descriptor: Int32, _ waiting: UnsafeRawBufferPointer?, _ head: RawSpan, _ body: RawSpan
  ) -> Transfer {
    // SAFETY: the kernel reads the three regions during the call.
    unsafe head.withUnsafeBytes { head in
      unsafe body.withUnsafeBytes { body in
        retrying {
          unsafe lifeline_send_gathered(
            descriptor, waiting?.baseAddress, waiting?.count ?? 0, head.baseAddress, head.count, body.baseAddress,
            body.count)
        }
      }
    }
  }

  static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    // SAFETY: as in receive.
    retrying { unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
  }

  static func write(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) -> Transfer {
    // SAFETY: as in send.
    retrying { unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count) }
  }

  /// Linux closes the descriptor even when close reports EINTR, so it is never retried.
  static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

  /// Makes the next close of a TCP socket send RST and drop what was not sent.
  static func setAbortOnClose(_ descriptor: Int32) {
    var option = linger(l_onoff: 1, l_linger: 0)
    // SAFETY: the kernel reads the local it is given.
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  @discardableResult
  static func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) -> Int32 {
    var value = value
    // SAFETY: as in setAbortOnClose.
    return unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  static func option(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int32? {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    // SAFETY: the kernel fills the local it is given.
    return unsafe getsockopt(descriptor, level, name, &value, &length) == 0 ? value : nil
  }

  /// A nonblocking stream socket that is closed on exec; nil with `errno` set.
  static func streamSocket(for address: SocketAddress) throws(SystemError) -> Int32 {
    let kind = Int32(LIFELINE_SOCK_STREAM) | Int32(LIFELINE_SOCKET_FLAGS)
    let descriptor = socket(address.family, kind, 0)
    guard descriptor >= 0 else {
      throw SystemError(call: "socket", subject: "\(address)", code: errno, detail: advice(for: errno))
    }
    if address.isInternet { setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
    return descriptor
  }

  static func advice(for code: Int32) -> String {
    switch code {
    case EMFILE: "the process is out of descriptors; raise its limit (ulimit -n)"
    case ENFILE: "the system is out of descriptors (fs.file-max)"
    case EADDRINUSE: "another program listens there; choose another port or stop it"
    case EADDRNOTAVAIL: "this machine has no such address"
    case EACCES: "ports below 1024 and foreign folders need privileges"
    case ECONNREFUSED: "nobody listens there"
    case ENOENT: "there is no such file"
    default: ""
    }
  }
}
