import Testing

@testable import Coordination

@Suite struct BoundedOutputTests {
  private func output(_ bytes: [UInt8], maxBytes: Int, inPiecesOf size: Int) -> BoundedOutput {
    var output = BoundedOutput(maxBytes: maxBytes)
    for start in stride(from: 0, to: bytes.count, by: size) {
      let piece = Array(bytes[start..<min(start + size, bytes.count)])
      output.append(piece.span.bytes)
    }
    return output
  }

  @Test(arguments: [1, 7, 255, 256, 4096]) func `up to the bound everything is kept`(size: Int) {
    let bytes = (0..<1_000).map { UInt8(truncatingIfNeeded: $0) }
    for length in [0, 1, 499, 500, 501, 999, 1_000] {
      let kept = output(Array(bytes[..<length]), maxBytes: 1_000, inPiecesOf: size).kept()
      #expect(kept.bytes == Array(bytes[..<length]) && kept.droppedBytes == 0)
    }
  }

  @Test(arguments: [1, 7, 255, 256, 4096]) func `beyond it the middle is left out and counted`(size: Int) throws {
    for length in [1_001, 1_002, 1_500, 2_000, 2_001, 50_000] {
      let bytes = (0..<length).map { UInt8($0 % 64 + 32) }
      let kept = output(bytes, maxBytes: 1_000, inPiecesOf: size).kept()
      #expect(kept.bytes.count <= 1_000)
      let note = Array("\n[... \(kept.droppedBytes) bytes left out ...]\n".utf8)
      #expect(kept.bytes.count - note.count + kept.droppedBytes == length)
      let tail = kept.bytes.count - note.count - 500
      #expect(kept.bytes == bytes[..<500] + note + bytes.suffix(tail))
    }
  }

  @Test(arguments: 0..<8) func `text stays text wherever the cuts fall`(shift: Int) {
    let text = String(repeating: "a", count: shift) + String(repeating: "é€😀", count: 1_000)
    let kept = output(Array(text.utf8), maxBytes: 1_000, inPiecesOf: 100).kept()
    #expect(String(validating: kept.bytes, as: UTF8.self) != nil)
  }

  @Test func `bytes that are no text survive the cuts`() {
    let kept = output([UInt8](repeating: 0x80, count: 10_000), maxBytes: 1_000, inPiecesOf: 100).kept()
    #expect(kept.bytes.count > 900)
  }
}
