import Testing

@testable import Coordination

@Suite struct LineBufferTests {
  private func lines(_ text: String, maxLineBytes: Int, inPiecesOf size: Int) -> [String] {
    var buffer = LineBuffer(maxLineBytes: maxLineBytes)
    var result: [String] = []
    func show(_ line: LineBuffer.Line) -> String {
      if case .complete(let bytes) = line { String(decoding: bytes, as: UTF8.self) } else { "(too long)" }
    }
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: size) {
      let piece = Array(bytes[start..<min(start + size, bytes.count)])
      buffer.append(piece.span.bytes)
      while let line = buffer.next() { result.append(show(line)) }
    }
    if let rest = buffer.rest() { result.append("rest: \(show(rest))") }
    return result
  }

  @Test(arguments: [1, 2, 3, 5, 100])
  func `lines are the same however they arrive`(size: Int) {
    #expect(lines("one\n\ntwo\nthree", maxLineBytes: 5, inPiecesOf: size) == ["one", "", "two", "rest: three"])
    #expect(lines("12345\n", maxLineBytes: 5, inPiecesOf: size) == ["12345"])
    #expect(lines("123456\nok\n", maxLineBytes: 5, inPiecesOf: size) == ["(too long)", "ok"])
    #expect(lines("a\n123456789012\n\nb\n", maxLineBytes: 5, inPiecesOf: size) == ["a", "(too long)", "", "b"])
    #expect(lines("", maxLineBytes: 5, inPiecesOf: size) == [])
  }

  @Test func `a line that never ends takes no memory beyond the bound`() {
    #expect(lines(String(repeating: "x", count: 10_000), maxLineBytes: 5, inPiecesOf: 7) == ["(too long)"])
  }
}
