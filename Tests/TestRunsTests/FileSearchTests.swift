import TestRuns
import Testing

extension TestRunsTests {
  @Suite struct FileSearchTests {
    /// A tree of files, by their paths.
    private static let files = [
      "a.py", "b.txt", "tests/test_a.py", "tests/test_b.py", "tests/sub/test_c.py", "tests/sub/deep/test_d.py",
      "tests/.hidden/test_e.py", "tests/.test_f.py", "tests/sub/[x].py", "other/tests/test_g.py",
    ]

    private static func list(_ folder: String) -> [FileSearch.Entry] {
      let prefix = folder == "." ? "" : folder.hasSuffix("/") ? folder : folder + "/"
      var entries: [String: Bool] = [:]
      for file in files where file.hasPrefix(prefix) {
        let parts = file.dropFirst(prefix.count).split(separator: "/")
        if let name = parts.first { entries[String(name)] = parts.count > 1 }
      }
      return entries.map { FileSearch.Entry($0.key, isFolder: $0.value) }
    }

    @Test(arguments: [
      ("*.py", ["a.py"]),
      ("./*.py", ["a.py"]),
      ("tests/*.py", ["tests/test_a.py", "tests/test_b.py"]),
      ("tests/test_[ac].py", ["tests/test_a.py"]),
      ("tests/test_[!a].py", ["tests/test_b.py"]),
      ("tests/test_[b-z].py", ["tests/test_b.py"]),
      ("tests/test_?.py", ["tests/test_a.py", "tests/test_b.py"]),
      (
        "tests/**/test_*.py",
        ["tests/sub/deep/test_d.py", "tests/sub/test_c.py", "tests/test_a.py", "tests/test_b.py"]
      ),
      ("**/test_g.py", ["other/tests/test_g.py"]),
      ("**/tests/*.py", ["other/tests/test_g.py", "tests/test_a.py", "tests/test_b.py"]),
      ("tests/sub/**", ["tests/sub/[x].py", "tests/sub/deep/test_d.py", "tests/sub/test_c.py"]),
      ("tests/sub/\\[x].py", ["tests/sub/[x].py"]),
      ("tests/.test*", ["tests/.test_f.py"]),
      ("tests/.hidden/*", ["tests/.hidden/test_e.py"]),
      ("tests", []), ("none/*", []), ("*/*/*/*/*", []),
      ("**/**/test_a.py", ["tests/test_a.py"]),
    ])
    func `a pattern finds its files, sorted, each once`(_ pattern: String, _ expected: [String]) throws {
      #expect(try FileSearch(pattern).paths(in: Self.list) == expected)
    }

    @Test(arguments: [("", FileSearch.Problem.empty), ("/", .empty), ("a/[b", .openClass), ("[]", .openClass)])
    func `what is no pattern is refused`(_ text: String, _ problem: FileSearch.Problem) {
      #expect(throws: problem) { try FileSearch(text) }
    }

    @Test func `a pattern full of stars does not take for ever`() throws {
      let name = String(repeating: "a", count: 2_000)
      let pattern = String(repeating: "*a", count: 50) + "b"
      #expect(try FileSearch(pattern).paths(in: { _ in [FileSearch.Entry(name, isFolder: false)] }) == [])
    }

    @Test func `folders without an end are searched to a bound`() throws {
      var asked = 0
      let found = try FileSearch("**/x").paths(in: { _ in
        asked += 1
        return [FileSearch.Entry("loop", isFolder: true)]
      })
      #expect(found.isEmpty)
      #expect(asked <= (FileSearch.maxDepth + 2) * 2)
    }
  }
}
