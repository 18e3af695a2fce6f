import ArgumentParsing
import Testing

@testable import CommandDocuments

@Suite struct CommandDocumentsTests {
  private static let port = Option("port", .integer(1...9), default: 5, as: "PORT", "Where to 'listen'.")
  private static let loud = Option(flag: "loud", default: true, "Say it.")
  private static let config = Option("config", optional: .string, as: "FILE", "The file.")
  private static let root = Command(
    "sample", "does things", options: [config],
    subcommands: [
      Command(
        "serve", "serves -- always", details: [".hidden files are served, C:\\new too."], options: [port],
        sections: [OptionSection("Noise \"and\" more", [loud])],
        examples: [Example("sample serve --port 7 '.x' \\", "An example.")]),
      Command(
        "set", "sets", subcommands: [Command("name", "sets a name", arguments: [Argument("ID", .string, "Which.")])]),
    ])
  private let manual = Manual(
    of: root, title: "Sample 1.0", date: "2026-01-02", fileName: "sample.toml",
    filePlaces: [("/etc/sample.toml", "The machine's.")])

  private func page(_ name: String) throws -> String { try #require(manual.pages.first { $0.fileName == name }).text }

  @Test(arguments: [
    ("a-b", "a\\-b"), (".x", "\\&.x"), ("'x", "\\(aqx"), ("\\fB", "\\(rsfB"), ("`~^\"", "\\(ga\\(ti\\(ha\\(dq"),
    ("ü…", "\\[u00FC]..."), ("🙂", "\\[u1F642]"), ("a\nb", "a b"), ("", ""),
  ]) func `nothing in a text is an instruction to roff`(text: String, expected: String) {
    #expect(RoffText.escaped(text) == expected)
  }

  @Test func `there is a page for each command and one for the file`() {
    #expect(
      manual.pages.map(\.fileName) == [
        "sample.1", "sample-serve.1", "sample-set.1", "sample-set-name.1", "sample.toml.5",
      ])
  }

  @Test func `a page has what the declaration has`() throws {
    let text = try page("sample-serve.1")
    for line in [
      ".TH \"SAMPLE\\-SERVE\" \"1\" \"2026\\-01\\-02\" \"Sample 1.0\" \"Lifeline\"",
      "sample\\-serve \\- serves \\-\\- always", "\\fBsample serve\\fR [OPTION...]",
      "\\&.hidden files are served, C:\\(rsnew too.", "\\fB\\-\\-port\\fR \\fIPORT\\fR",
      "Where to \\(aqlisten\\(aq. (1 to 9; default: 5)", ".SS \"Noise \\(dqand\\(dq more\"",
      "\\fB\\-\\-[no\\-]loud\\fR",
      "\\fB\\-\\-config\\fR \\fIFILE\\fR", "sample serve \\-\\-port 7 \\(aq.x\\(aq \\(rs", "sample(1), sample.toml(5)",
    ] { #expect(text.split(separator: "\n").contains { $0 == line }, "\(line)\n\(text)") }
    #expect(text.contains("SAMPLE_SERVE_PORT is \\-\\-port"))
  }

  @Test func `the file's page has every table and its options`() throws {
    let text = try page("sample.toml.5")
    #expect(text.contains(".SS \"[serve]\"\n") && text.contains("\\fBport\\fR\nWhere to \\(aqlisten\\(aq. (a number; "))
    #expect(text.contains("\\fI/etc/sample.toml\\fR\nThe machine\\(aqs."))
    #expect(text.contains("SAMPLE_SERVE_PORT for \\-\\-port of sample serve"))
  }
}
