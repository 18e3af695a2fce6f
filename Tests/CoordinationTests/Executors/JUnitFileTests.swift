import CoordinationCore
import Glibc
import TestSupport
import Testing

@testable import Coordination

@Suite(.timeLimit(.minutes(5)))
struct JUnitFileTests {
  private let directory = TemporaryDirectory()

  private var path: String { JUnitFile.path(in: directory.path) }

  private func write(_ bytes: [UInt8]) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    defer { close(descriptor) }
    #expect(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
  }

  private var problem: String? { JUnitFile.result(in: directory.path)?.object?["junit_problem"]?.string }

  @Test func `a command that left no file has no result`() {
    #expect(JUnitFile.result(in: directory.path) == nil)
  }

  @Test func `what the command left is the result, as it is`() {
    write(Array("<testsuite name=\"ü\"/>\n".utf8))
    #expect(JUnitFile.result(in: directory.path) == ["junit": "<testsuite name=\"ü\"/>\n"])
    write([])
    #expect(JUnitFile.result(in: directory.path) == ["junit": ""])
  }

  @Test func `as much as one message carries is taken, and no byte more`() {
    write([UInt8](repeating: UInt8(ascii: "x"), count: JUnitFile.maxBytes))
    #expect(JUnitFile.result(in: directory.path)?.object?["junit"]?.string?.utf8.count == JUnitFile.maxBytes)
    write([UInt8](repeating: UInt8(ascii: "x"), count: JUnitFile.maxBytes + 1))
    #expect(problem == "131073 bytes; at most 131072 are carried")
  }

  @Test func `what is no text is named and not carried`() {
    write([0x3C, 0xFF])
    #expect(problem == "it is not UTF-8")
    // Six bytes each as JSON text.
    write([UInt8](repeating: 1, count: 60_000))
    #expect(problem == "it is full of control characters")
  }

  @Test func `what is no file of the command's own is not read`() {
    mkfifo(path, 0o600)
    #expect(problem == "it is no regular file")
    unlink(path)
    symlink("/etc/passwd", path)
    #expect(problem?.hasPrefix("it cannot be opened") == true)
    unlink(path)
    mkdir(path, 0o700)
    #expect(problem == "it is no regular file")
    rmdir(path)
  }
}
