import Configuration
import Testing

@Suite struct ConfigurationExampleTests {
  private let text = ConfigurationExample(of: Sample.root, introduction: ["What it is."]).text

  @Test func `the example names every table and every option once, with its default`() {
    for line in [
      "[client]", "[serve]", "[list]", "[set.name]", "#port = 8765", "#grace = \"15s\"", "#ratio = 0.5",
      "#log-level = \"INFO\"", "#compression = true", "#store = \"FILE\"", "#label = [\"NAME=VALUE\"]",
      "# Where to listen. (1 to 65535; default: 8765)",
    ] { #expect(text.split(separator: "\n").count { $0 == line } == 1, "\(line)\n\(text)") }
    #expect(!text.contains("[config]") && !text.contains("#config"))
    #expect(!text.contains("[show]") || text.contains("#address"))
  }

  @Test func `the example has nothing wrong in it, commented out or not`() {
    #expect(Sample.read(text, isPrivate: false).problems.isEmpty)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.hasPrefix("#") && !line.hasPrefix("# ") && line != "#" ? line.dropFirst() : line
    }
    #expect(lines.count { $0.contains(" = ") && !$0.hasPrefix("#") } > 10)
    #expect(Sample.read(lines.joined(separator: "\n")).problems.isEmpty)
  }
}
