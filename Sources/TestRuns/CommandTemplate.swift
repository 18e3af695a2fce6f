/// A command with `{}` where the test goes.
package struct CommandTemplate: Equatable, Sendable {
  package static let marker = "{}"

  package let words: [String]

  package init(_ words: [String]) {
    self.words = words
  }

  package var hasMarker: Bool { words.contains { $0.contains(Self.marker) } }

  /// Whether every `{}` is a word of its own, so that one command can be given several tests.
  package var takesSeveral: Bool { words.allSatisfy { $0 == Self.marker || !$0.contains(Self.marker) } }

  /// The command for these tests. Several need a template that takes several; within a word only the first would be
  /// put in, and the others would silently not be run.
  package func command(for tests: [String]) -> [String] {
    precondition(tests.count == 1 || takesSeveral, "{} stands within a word, and there are \(tests.count) tests")
    var command: [String] = []
    for word in words {
      if word == Self.marker {
        command += tests
      } else {
        command.append(Self.replaceMarkers(in: word, by: tests.first ?? ""))
      }
    }
    return command
  }

  private static func replaceMarkers(in word: String, by test: String) -> String {
    var result: [UInt8] = []
    var rest = Array(word.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "{"), rest.first == UInt8(ascii: "}") {
        rest.removeFirst()
        result += test.utf8
      } else {
        result.append(byte)
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
