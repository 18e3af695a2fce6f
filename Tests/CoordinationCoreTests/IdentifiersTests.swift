import CoordinationCore
import Testing

@Suite struct IdentifiersTests {
  @Test(arguments: [
    ("", IdentifierError.Problem.empty), (String(repeating: "x", count: 129), .tooLong(length: 129, limit: 128)),
    ("a/b", .badCharacter("/")), ("a b", .badCharacter(" ")), ("naïve", .badCharacter("ï")),
    ("e\u{301}a", .badCharacter("e\u{301}")), ("a\r\nb", .badCharacter("\r\n")), ("a\0", .badCharacter("\0")),
    ("٣", .badCharacter("٣")), ("..", .badCharacter(".")), (".", .badCharacter(".")),
  ])
  func `what is wrong with an identifier is named`(text: String, problem: IdentifierError.Problem) {
    let error = #expect(throws: IdentifierError.self) { try TaskID(text) }
    #expect(error?.problem == problem)
  }
}
