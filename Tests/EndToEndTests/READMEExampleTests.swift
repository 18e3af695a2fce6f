import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

/// The commands of README.md's section on the HTTP API, as a reader would type them.
extension EndToEnd {
  @Suite(.enabled(if: access("/usr/bin/curl", X_OK) == 0)) struct READMEExampleTests {
    struct Example {
      var command: String
      var expected: [String]
    }

    /// Indented lines after a `$` and until the next one; a command goes on where its line ends in a backslash.
    static func examples(_ readme: String) -> [Example] {
      var examples: [Example] = []
      var isInside = false
      var goesOn = false
      for line in readme.split(separator: "\n", omittingEmptySubsequences: false) {
        if line.hasPrefix("## ") { isInside = line == "## HTTP API" }
        guard isInside, line.hasPrefix("    ") else { continue }
        let text = line.dropFirst(4)
        if goesOn {
          examples[examples.count - 1].command += "\n" + text
        } else if text.hasPrefix("$ ") {
          examples.append(Example(command: String(text.dropFirst(2)), expected: []))
        } else if !examples.isEmpty {
          examples[examples.count - 1].expected.append(String(text))
        }
        goesOn = line.hasSuffix("\\")
      }
      return examples
    }

    /// Whether the lines are those that were expected; an ellipsis stands for anything, alone for any number of lines.
    static func matches(_ lines: ArraySlice<String>, _ expected: ArraySlice<String>) -> Bool {
      guard let first = expected.first else { return lines.allSatisfy(\.isEmpty) }
      if first == "…" {
        return (lines.startIndex...lines.endIndex).contains { matches(lines[$0...], expected.dropFirst()) }
      }
      guard let line = lines.first else { return false }
      return matches(line[...], first[...]) && matches(lines.dropFirst(), expected.dropFirst())
    }

    private static func matches(_ line: Substring, _ expected: Substring) -> Bool {
      guard let gap = expected.firstIndex(of: "…") else { return line == expected }
      guard line.hasPrefix(expected[..<gap]) else { return false }
      let rest = expected[expected.index(after: gap)...]
      let behind = line.dropFirst(expected[..<gap].count)
      if rest.isEmpty { return true }
      return behind.indices.contains { matches(behind[$0...], rest) }
    }

    @Test func `each example of the HTTP API does what README says`() throws {
      let path = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/README.md"
      let readme = String(decoding: TestProcess.contents(of: path), as: UTF8.self)
      let examples = Self.examples(readme)
      #expect(examples.count >= 7)
      let fleet = try Fleet()
      _ = try fleet.worker("w1", slots: 2)
      for example in examples {
        let command = example.command.split(separator: "localhost:8765", omittingEmptySubsequences: false)
          .joined(separator: "127.0.0.1:\(fleet.port)")
        let process = try TestProcess("/bin/sh", ["-c", command])
        #expect(try process.exit() == .exited(0), "\(command)\n\(process.errors.all)")
        let output = process.output.all
        #expect(Self.matches(output[...], example.expected[...]), "\(command)\n\(output.joined(separator: "\n"))")
      }
    }

    @Test func `an example that says something else is found out`() {
      #expect(Self.matches(["a", "b"], ["a", "b"]))
      #expect(Self.matches(["{\"a\":1,\"b\":2}"], ["{\"a\":…,\"b\":2}"]))
      #expect(Self.matches(["x", "y", "b", "z"], ["…", "b", "…"]))
      #expect(!Self.matches(["a"], ["b"]))
      #expect(!Self.matches(["a", "b"], ["a"]))
      #expect(!Self.matches(["a"], ["a", "b"]))
      #expect(!Self.matches(["{\"a\":1}"], ["{\"a\":…,\"b\":2}"]))
    }
  }
}
