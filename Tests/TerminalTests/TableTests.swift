import Terminal
import Testing

@Suite struct TableTests {
  static func sample() -> Table {
    var table = Table([.init("ID"), .init("COMMAND", mayShrink: true), .init("TRIES", .right), .init("STATE")])
    table.append(["t1", "pytest tests/test_everything.py", "1", Table.Cell("completed", .green)])
    table.append(["t22", "ls", "12", "failed"])
    table.append(["t3", "", "", ""])
    return table
  }

  @Test func `columns are aligned and no line ends in spaces`() {
    #expect(
      Self.sample().lines(width: nil) == [
        "ID   COMMAND                          TRIES  STATE",
        "t1   pytest tests/test_everything.py      1  completed",
        "t22  ls                                  12  failed",
        "t3",
      ])
  }

  @Test func `a terminal that is too narrow cuts the columns that may be cut`() {
    #expect(
      Self.sample().lines(width: 40) == [
        "ID   COMMAND            TRIES  STATE",
        "t1   pytest tests/tes…      1  completed",
        "t22  ls                    12  failed",
        "t3",
      ])
  }

  @Test func `a cut column stays recognisable and the others whole`() {
    #expect(Self.sample().lines(width: 10)[1] == "t1   pytest …      1  completed")
  }

  @Test func `colours surround the text and do not count as width`() {
    let lines = Self.sample().lines(width: nil, style: TextStyle(isEnabled: true))
    #expect(lines[0].hasPrefix("\u{1B}[1mID\u{1B}[0m   \u{1B}[1mCOMMAND"))
    #expect(lines[1].hasSuffix("      1  \u{1B}[32mcompleted\u{1B}[0m"))
  }

  @Test func `wide characters take two columns and control characters none, being escaped`() {
    var table = Table([.init("NAME"), .init("N")])
    table.append(["日本", "1"])
    table.append(["a\nb\u{1B}[2J", "2"])
    #expect(table.lines(width: nil) == ["NAME           N", "日本           1", "a\\nb\\u{1b}[2J  2"])
  }

  @Test func `an empty table is its heading`() {
    #expect(Table([.init("A"), .init("B", .right)]).lines(width: 80) == ["A  B"])
    #expect(Table([]).lines(width: 80) == [""])
  }
}
