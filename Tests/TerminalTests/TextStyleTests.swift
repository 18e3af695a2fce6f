import Terminal
import Testing

@Suite struct TextStyleTests {
  @Test(arguments: [
    (true, [:], true), (false, [:], false), (true, ["NO_COLOR": "1"], false), (true, ["NO_COLOR": ""], true),
    (true, ["TERM": "dumb"], false), (true, ["TERM": "xterm"], true),
  ])
  func `colours need a terminal that can and a user who wants`(
    isTerminal: Bool, environment: [String: String], expected: Bool
  ) {
    #expect(TextStyle(isTerminal: isTerminal, environment: environment).isEnabled == expected)
  }

  @Test func `without colours text stays as it is`() {
    #expect(TextStyle.plain.apply(.red, to: "text") == "text")
    #expect(TextStyle(isEnabled: true).apply(.red, to: "text") == "\u{1B}[31mtext\u{1B}[0m")
    #expect(TextStyle(isEnabled: true).apply(.none, to: "text") == "text")
    #expect(TextStyle(isEnabled: true).apply(.red, to: "") == "")
  }
}
