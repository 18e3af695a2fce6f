import Testing

@testable import WebSocketCore

@Suite struct UTF8ValidatorTests {
  /// The bytes in parts; `nil` if a part was refused, else whether the text may end.
  private func verdict(_ parts: [[UInt8]]) -> Bool? {
    var validator = UTF8Validator()
    for part in parts { if !validator.accept(part.span.bytes) { return nil } }
    return validator.isBetweenScalars
  }

  static let valid = [
    "", "a", "κόσμε", "\u{80}\u{7FF}\u{800}\u{FFFF}", "\u{D7FF}\u{E000}\u{10000}\u{10FFFF}", "日本語🙂 text",
  ]

  static let invalid: [[UInt8]] = [
    [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80],
    [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80],
    [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xC3, 0x28], [0xE2, 0x28, 0xA1], [0xF0, 0x9F, 0x98, 0x28],
    [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5, 0xED, 0xA0, 0x80, 0x65, 0x64],
  ]

  @Test(arguments: valid) func `UTF-8 is accepted however it is cut in three`(text: String) {
    let bytes = Array(("start " + text + " end").utf8)
    for first in 0...bytes.count {
      for second in first...bytes.count {
        let parts = [Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])]
        #expect(verdict(parts) == true)
      }
    }
  }

  @Test(arguments: invalid) func `what is not UTF-8 is refused however it is cut in two`(bytes: [UInt8]) {
    for padding in [0, 1, 20] {
      let text =
        Array(repeating: UInt8(ascii: "x"), count: padding) + bytes
        + Array(repeating: UInt8(ascii: "y"), count: padding)
      for cut in 0...text.count {
        #expect(verdict([Array(text[..<cut]), Array(text[cut...])]) == nil)
      }
    }
  }

  @Test(arguments: invalid) func `the refusal comes with the first byte that cannot be right`(bytes: [UInt8]) {
    var validator = UTF8Validator()
    let refused = bytes.firstIndex { !validator.accept([$0].span.bytes) }
    // The standard library's judgement: a prefix is hopeless once no ending makes it valid.
    let hopeless = bytes.indices.first { end in
      let prefix = Array(bytes[...end])
      let endings: [[UInt8]] = [
        [], [0x80], [0x90], [0xA0], [0x80, 0x80], [0x90, 0x80], [0xA0, 0x80], [0x80, 0x80, 0x80], [0x90, 0x80, 0x80],
      ]
      return endings.allSatisfy { String(validating: prefix + $0, as: UTF8.self) == nil }
    }
    #expect(refused == hopeless)
  }

  @Test func `a text that ends inside a character may not end there`() {
    let bytes = Array("🙂".utf8)
    for count in 1..<bytes.count { #expect(verdict([Array(bytes.prefix(count))]) == false) }
  }

  @Test func `every two bytes and every three-byte beginning are judged as the standard library judges them`() {
    for first in UInt8.min...UInt8.max {
      for second in UInt8.min...UInt8.max {
        let pair = [first, second]
        #expect((verdict([pair]) == true) == (String(validating: pair, as: UTF8.self) != nil))
        let triple = pair + [0x80]
        #expect((verdict([triple]) == true) == (String(validating: triple, as: UTF8.self) != nil))
      }
    }
  }
}
