/// Which of a shard's tests each case in its JUnit file belongs to.
///
/// Nobody has agreed on how cases are named. A case belongs to the test that it names as its file, its name or its class;
/// failing that, to the one whose path, written with dots (`tests/test_a.py`: `tests.test_a`), its class begins with.
package struct CaseMatching: Sendable {
  /// The cases of each test, in the order of the tests.
  package let cases: [[JUnitCase]]
  /// Those that belong to none.
  package let others: [JUnitCase]

  package init(_ report: JUnitReport, tests: [String]) {
    var exact: [String: Int] = [:]
    for (index, test) in tests.enumerated() where exact[test] == nil { exact[test] = index }
    let dotted = tests.enumerated().map { (name: Self.dotted($1), index: $0) }
    var cases = Array(repeating: [JUnitCase](), count: tests.count)
    var others: [JUnitCase] = []
    for each in report.suites.flatMap(\.cases) {
      if let index = Self.test(of: each, exact, dotted) { cases[index].append(each) } else { others.append(each) }
    }
    self.cases = cases
    self.others = others
  }

  private static func test(of each: JUnitCase, _ exact: [String: Int], _ dotted: [(name: String, index: Int)]) -> Int? {
    for name in [each.file, each.name, each.className] {
      if let name, let index = exact[name] { return index }
    }
    let name = each.className.isEmpty ? each.name : "\(each.className).\(each.name)"
    // The longest, since a folder's tests may stand beside the folder.
    return dotted.filter { isPrefix($0.name, of: name) }.max { $0.name.utf8.count < $1.name.utf8.count }?.index
  }

  private static func isPrefix(_ prefix: String, of name: String) -> Bool {
    guard !prefix.isEmpty, name.utf8.starts(with: prefix.utf8) else { return false }
    let next = name.utf8.dropFirst(prefix.utf8.count).first
    return next == nil || next == UInt8(ascii: ".") || next == UInt8(ascii: "[")
  }

  /// `tests/test_a.py::TestX::test_y` is `tests.test_a.TestX.test_y`.
  private static func dotted(_ test: String) -> String {
    var parts = test.split(separator: "::", omittingEmptySubsequences: true).map(String.init)
    guard var path = parts.first else { return test }
    while path.hasPrefix("./") { path.removeFirst(2) }
    var names = path.split(separator: "/").map(String.init)
    if let last = names.last, let dot = last.lastIndex(of: "."), dot > last.startIndex {
      names[names.count - 1] = String(last[..<dot])
    }
    parts[0] = names.joined(separator: ".")
    return parts.joined(separator: ".")
  }
}
