import Glibc
import Testing

@testable import Reactor

@Suite struct `a socket address` {
  @Test(arguments: [
    ("127.0.0.1", "127.0.0.1:80"), ("0.0.0.0", "0.0.0.0:80"), ("255.254.1.2", "255.254.1.2:80"),
    ("::1", "[::1]:80"), ("[::1]", "[::1]:80"), ("2001:db8::7", "[2001:db8::7]:80"), ("::", "[::]:80"),
  ])
  func `is read from numbers and printed`(text: String, printed: String) throws {
    let address = try #require(SocketAddress(ip: text, port: 80))
    #expect(address.description == printed)
    #expect(address.port == 80)
    #expect(SocketAddress(ip: address.host, port: 80) == address)
  }

  @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.4.5", "256.0.0.1", "[::1", ":::", "1.2.3.4\0", " 127.0.0.1"])
  func `is not read from anything else`(text: String) {
    #expect(SocketAddress(ip: text, port: 1) == nil)
  }

  @Test(arguments: [
    SocketAddress.loopback(port: 65_535), .unix(path: "/tmp/x"), .unix(path: String(repeating: "p", count: 107)),
    .ipv6(.init(high: 0xfe80_0000_0000_0000, low: 0x0123_4567_89ab_cdef, scope: 3), port: 9),
  ])
  func `survives the way to the kernel's form and back`(address: SocketAddress) throws {
    let copy = try address.withKernelForm { pointer, length in
      SocketAddress.filled { target, targetLength in
        memcpy(target, pointer, Int(length))
        targetLength.pointee = length
        return true
      }
    }
    #expect(copy == address)
  }

  @Test(arguments: ["", String(repeating: "p", count: 108), "a\0b"])
  func `refuses a path that does not fit, saying the limit`(path: String) {
    let error = #expect(throws: SystemError.self) { try SocketAddress.unix(path: path).withKernelForm { _, _ in } }
    #expect(error?.detail.contains("107") ?? false)
  }

  @Test func `errors read as what failed, where, why and what to do`() {
    let error = SystemError(call: "bind", subject: "127.0.0.1:80", code: EACCES, detail: "choose another port")
    #expect(error.description == "bind 127.0.0.1:80: Permission denied (EACCES); choose another port")
    #expect(SystemError(call: "recv", code: ECONNRESET).description == "recv: Connection reset by peer (ECONNRESET)")
    #expect(SystemError.name(of: 12_345) == "12345")
  }
}
