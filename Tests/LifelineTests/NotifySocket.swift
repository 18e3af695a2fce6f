import Glibc
import Primitives
import Reactor
import TestSupport

/// The service manager's side of sd_notify(3): a datagram socket in a folder of its own, or with an abstract name.
final class NotifySocket {
  /// What `NOTIFY_SOCKET` is to be.
  let name: String
  private let directory = TemporaryDirectory()
  private let descriptor: Int32
  private(set) var notices: [Notice] = []

  /// One datagram: the values by their names, in the order in which they stand there.
  struct Notice: Equatable {
    let lines: [String]

    subscript(name: String) -> String? {
      lines.first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.count + 1)) }
    }
  }

  init(isAbstract: Bool = false) throws {
    let path = directory.file("notify")
    name = isAbstract ? "@lifeline-test\(path)" : path
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(name.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { field in
      for (index, byte) in bytes.enumerated() { field[index] = byte }
      if isAbstract { field[0] = 0 }
    }
    let length = socklen_t(2 + bytes.count + (isAbstract ? 0 : 1))
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
    }
    guard result == 0 else { throw RunningProgram.Failure(description: "bind \(name): \(errno)") }
  }

  deinit { close(descriptor) }

  /// Takes what has come so far.
  func receive() {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)), count > 0 {
      let lines = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
      notices.append(Notice(lines: lines))
    }
  }

  /// Waits for a notice that fits, among those from the `start`th on; returns its place.
  @discardableResult
  func wait(_ what: String, from start: Int = 0, where fits: (Notice) -> Bool) throws -> Int {
    do {
      return try eventually(what) {
        receive()
        return notices.indices.dropFirst(start).first { fits(notices[$0]) }
      }
    } catch { throw TimedOut("\(error); there were \(notices.map(\.lines))") }
  }

  @discardableResult
  func wait(for name: String, from start: Int = 0) throws -> Int {
    try wait("\(name)=1", from: start) { $0[name] == "1" }
  }
}
