import Primitives
import Testing

@Suite struct PrintableTextTests {
  @Test(arguments: [
    ("plain", "plain"), ("", ""), ("naïve 日本 ✓", "naïve 日本 ✓"),
    ("a\nb\r\tc", "a\\nb\\r\\tc"), ("\u{1B}[31mred", "\\u{1b}[31mred"), ("\u{0}\u{7F}", "\\u{0}\\u{7f}"),
    ("\\n", "\\\\n"), ("a\u{202E}b", "a\\u{202e}b"), ("\u{2028}\u{85}", "\\u{2028}\\u{85}"), ("\r\n", "\\r\\n"),
  ])
  func `nothing that moves a cursor or turns the text around gets through`(text: String, expected: String) {
    #expect(text.escapedForDisplay == expected)
  }
}
