import ArgumentParsing
import Testing

@Suite struct UsageErrorTests {
  @Test func `the message names the command, the word, the remedy and the way to help`() {
    let error = UsageError(path: ["sample", "serve"], .unknownOption("--prot", nearest: "--port"))
    #expect(
      error.description == "sample serve: unknown option --prot; did you mean --port?\nTry 'sample serve --help'.")
    #expect(UsageError.exitStatus == 2)
  }

  @Test func `a value is shown with what was expected of it`() {
    let error = UsageError(
      path: ["sample"], .invalidValue(argument: "--port", value: "0", expectation: "a whole number, 1 to 65535"))
    #expect(error.description.hasPrefix("sample: --port: 0 is not valid; expected a whole number, 1 to 65535\n"))
  }

  @Test func `text that was typed cannot forge a line or fill the screen`() {
    let forged = UsageError(path: ["sample"], .unknownSubcommand("a\nsample: all is well\u{1B}[2J", nearest: nil))
    #expect(forged.description.split(separator: "\n").count == 2)
    #expect(!forged.description.contains("\u{1B}"))
    let long = UsageError(path: ["sample"], .unknownOption(String(repeating: "x", count: 5000), nearest: nil))
    #expect(long.description.count < 200)
  }

  @Test func `a command that hands words on says where they belong`() {
    let error = UsageError(path: ["sample", "run"], .unexpectedArgument("ls", belongsAfterDashes: true))
    #expect(error.description.contains("put -- before the command to run"))
  }
}
