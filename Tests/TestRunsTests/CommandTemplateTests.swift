import TestRuns
import Testing

extension TestRunsTests {
  @Suite struct CommandTemplateTests {
    @Test(arguments: [
      (["pytest", "{}"], ["a"], ["pytest", "a"]),
      (["pytest", "{}", "-q"], ["a", "b c"], ["pytest", "a", "b c", "-q"]),
      (["sh", "-c", "run {} > {}.log"], ["a"], ["sh", "-c", "run a > a.log"]),
      (["{}"], ["a", "b"], ["a", "b"]),
      (["x", "--file={}"], ["{}"], ["x", "--file={}"]),
      (["x", "{ }", "{{}}"], ["t"], ["x", "{ }", "{t}"]),
      (["x"], ["t"], ["x"]),
      (["x", "ö{}ü"], ["ä"], ["x", "öäü"]),
    ])
    func `the test stands where the braces stood`(_ words: [String], _ tests: [String], _ command: [String]) {
      #expect(CommandTemplate(words).command(for: tests) == command)
    }

    @Test(arguments: [
      (["pytest", "{}"], true, true), (["pytest", "-k={}"], true, false), (["pytest"], false, true),
      (["pytest", "{}", "{}.log"], true, false),
    ])
    func `only braces that stand alone take several tests`(_ words: [String], _ hasMarker: Bool, _ takesSeveral: Bool) {
      #expect(CommandTemplate(words).hasMarker == hasMarker)
      #expect(CommandTemplate(words).takesSeveral == takesSeveral)
    }
  }
}
