import CoordinationCore
import Testing

@Suite struct IdentifiersTests {
  @Test(arguments: ["a", "Z9", "a.b_c:d@e{f}-g", "...", String(repeating: "x", count: 128)])
  func `letters, digits and a few signs make an identifier`(text: String) throws {
    #expect(try TaskID(text).text == text)
    #expect(try WorkerID(text).text == text)
  }

  @Test(arguments: [
    ("", IdentifierError.Problem.empty), (String(repeating: "x", count: 129), .tooLong(length: 129, limit: 128)),
    ("a/b", .badCharacter("/")), ("a b", .badCharacter(" ")), ("naïve", .badCharacter("ï")),
    ("e\u{301}a", .badCharacter("e\u{301}")), ("a\r\nb", .badCharacter("\r\n")), ("a\0", .badCharacter("\0")),
    ("٣", .badCharacter("٣")), ("..", .badCharacter(".")), (".", .badCharacter(".")),
  ])
  func `anything else is refused and named`(text: String, problem: IdentifierError.Problem) {
    let error = #expect(throws: IdentifierError.self) { try TaskID(text) }
    #expect(error?.problem == problem)
  }
}
