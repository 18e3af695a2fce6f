import Glibc
import Reactor
import TestSupport

/// A named pipe that commands append lines to; one line is written at once, so the order is the order of the writes.
final class Journal {
  let path: String
  let lines: EventLog<String>
  private let stream: LoopBound<ByteStream>
  private let thread: EventLoopThread
  private var marks = 0

  init(_ path: String) throws {
    self.path = path
    guard mkfifo(path, 0o600) == 0 else { throw TimedOut("mkfifo \(path): errno \(errno)") }
    // Open for both, so that it never ends when no command has it open.
    let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw TimedOut("open \(path): errno \(errno)") }
    let lines = EventLog<String>("journal")
    self.lines = lines
    let made = Exchange<LoopBound<ByteStream>>()
    thread = try EventLoopThread(name: "journal") { loop in
      var rest: [UInt8] = []
      let stream = ByteStream(
        descriptor: descriptor, on: loop,
        onBytes: { bytes in
          rest += bytes.withUnsafeBytes { Array($0) }
          while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
            lines.put(String(decoding: rest[..<newline], as: UTF8.self))
            rest.removeSubrange(...newline)
          }
        }, onEnd: {})
      made.put(LoopBound(stream, to: loop))
    }
    stream = made.take()
  }

  /// Waits for a line that begins so; its words.
  @discardableResult
  func line(_ start: String) throws -> [String] {
    try lines.first("line \"\(start)\"") { $0 == start || $0.hasPrefix(start + " ") }.split(separator: " ").map(
      String.init)
  }

  /// Everything that commands have written so far.
  func all() throws -> [String] {
    marks += 1
    let mark = "mark \(marks)"
    // What was written before it is read before it.
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    write(descriptor, mark + "\n", mark.utf8.count + 1)
    Glibc.close(descriptor)
    try line(mark)
    return lines.all.filter { !$0.hasPrefix("mark ") }
  }

  /// How many lines begin so.
  func count(_ start: String) throws -> Int { try all().count { $0 == start || $0.hasPrefix(start + " ") } }

  func close() {
    let stream = stream
    thread.mailbox.post { stream.value.close() }
    thread.stop()
    thread.join()
  }
}
