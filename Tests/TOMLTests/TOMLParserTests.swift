import TOML
import Testing

@Suite struct TOMLParserTests {
  static let good: [(String, String)] = [
    ("", "{}"), ("\n \t\r\n# a comment\n", "{}"), ("\u{FEFF}a = 1", "{a=i:1}"), ("# tab\tand ü", "{}"),
    // Keys.
    ("a-b_C9 = 1", "{a-b_C9=i:1}"), ("1234 = 1", "{1234=i:1}"), ("\"a b\" = 1", "{a b=i:1}"),
    ("'a\"b' = 1", "{a\"b=i:1}"),
    ("\"\" = 1", "{=i:1}"), ("\"\\u00e9\" = 1", "{é=i:1}"), ("a.b.c = 1", "{a={b={c=i:1}}}"),
    ("a . \"b.c\" . 'd' = 1", "{a={b.c={d=i:1}}}"), ("a.b = 1\na.c = 2", "{a={b=i:1 c=i:2}}"),
    ("a.x = 1\nb = 2\na.y = 3", "{a={x=i:1 y=i:3} b=i:2}"), ("3.14 = 1", "{3={14=i:1}}"), ("  a=1  # why", "{a=i:1}"),
    ("true = 1", "{true=i:1}"),
    // Texts.
    ("a = \"\"", "{a=s:}"), ("a = ''", "{a=s:}"), (#"a = "b\t\"\\\n\r\b\f""#, "{a=s:b\t\"\\\n\r\u{8}\u{C}}"),
    (#"a = "\u00E9\U0001F642""#, "{a=s:é🙂}"), (#"a = 'C:\new'"#, #"{a=s:C:\new}"#),
    ("a = \"# no comment\"", "{a=s:# no comment}"),
    ("a = \"\"\"\nb\nc\"\"\"", "{a=s:b\nc}"), ("a = '''\r\nb\r\nc'''", "{a=s:b\r\nc}"),
    ("a = \"\"\"b \\\n   \n  c\"\"\"", "{a=s:b c}"), ("a = \"\"\"\\\n  b \\  \n c\\\n\"\"\"", "{a=s:b c}"),
    ("a = \"\"\"b\"\"\"\"\"", "{a=s:b\"\"}"), ("a = \"\"\"\"b\"\"\"\"", "{a=s:\"b\"}"), ("a = '''b''''", "{a=s:b'}"),
    ("a = \"\"\"b\"\"c\"\"\"", "{a=s:b\"\"c}"), ("a = \"\"\"\"\"\"", "{a=s:}"), ("a = '''\\n'''", "{a=s:\\n}"),
    ("a = \"tab\there\"", "{a=s:tab\there}"),
    // Numbers.
    ("a = 0", "{a=i:0}"), ("a = +99", "{a=i:99}"), ("a = -17", "{a=i:-17}"), ("a = 1_000_000", "{a=i:1000000}"),
    ("a = -0", "{a=i:0}"), ("a = 9223372036854775807", "{a=i:9223372036854775807}"),
    ("a = -9223372036854775808", "{a=i:-9223372036854775808}"), ("a = 0xDEAD_beef", "{a=i:3735928559}"),
    ("a = 0o755", "{a=i:493}"), ("a = 0b1101", "{a=i:13}"), ("a = 0x00", "{a=i:0}"), ("a = 1.5", "{a=f:1.5}"),
    ("a = -0.01", "{a=f:-0.01}"), ("a = 5e+22", "{a=f:5e+22}"), ("a = 1E06", "{a=f:1000000.0}"),
    ("a = 6.626e-34", "{a=f:6.626e-34}"), ("a = 224_617.445_991", "{a=f:224617.445991}"), ("a = 0e0", "{a=f:0.0}"),
    ("a = inf", "{a=f:inf}"), ("a = -inf", "{a=f:-inf}"), ("a = nan", "{a=f:nan}"),
    ("a = true\nb = false", "{a=b:true b=b:false}"),
    // Lists and inline tables.
    ("a = []", "{a=[]}"), ("a = [1, 'b', [true]]", "{a=[i:1 s:b [b:true]]}"),
    ("a = [ # one\n  1, # two\n\n  2,\n]", "{a=[i:1 i:2]}"), ("a = [\n]", "{a=[]}"), ("a = {}", "{a={}}"),
    ("a = { b = 1, c.d = 'e' }", "{a={b=i:1 c={d=s:e}}}"), ("a = {b={c=[{d=1}]}}", "{a={b={c=[{d=i:1}]}}}"),
    ("a = { b = [1,\n 2] }", "{a={b=[i:1 i:2]}}"), ("a = { b = \"\"\"x\ny\"\"\" }", "{a={b=s:x\ny}}"),
    // Tables.
    ("[a]\nb = 1\n[c]\nd = 2", "{a={b=i:1} c={d=i:2}}"), ("[a.b]\nc = 1\n[a]\nd = 2", "{a={b={c=i:1} d=i:2}}"),
    ("[ a . 'b c' ]", "{a={b c={}}}"), ("[a]\n[a.b]\n[a.b.c]", "{a={b={c={}}}}"), ("[a] # why\nb = 1", "{a={b=i:1}}"),
    ("[[a]]\nb = 1\n[[a]]\nb = 2", "{a=[{b=i:1} {b=i:2}]}"), ("[[a]]\n[a.b]\nc = 1\n[[a]]", "{a=[{b={c=i:1}} {}]}"),
    ("[[a.b]]\nc = 1\n[[a.b]]", "{a={b=[{c=i:1} {}]}}"), ("a.b = 1\n[a.c]\nd = 2", "{a={b=i:1 c={d=i:2}}}"),
    ("[a.b.c]\n[a]\nb.d = 1", "{a={b={c={} d=i:1}}}"), ("[x.y.z.w]\n[x]", "{x={y={z={w={}}}}}"),
  ]

  @Test(arguments: good) func `what TOML permits is understood`(text: String, expected: String) {
    let (found, errors) = Reading.of(text)
    #expect(errors.isEmpty)
    #expect(found == expected)
  }

  @Test(arguments: good) func `line ends may be those of DOS`(text: String, expected: String) {
    // A text over several lines keeps the ends that it has.
    guard !text.contains("\"\"\""), !text.contains("'''"), !text.contains("\r") else { return }
    let (found, errors) = Reading.of(text.replacing("\n", with: "\r\n"))
    #expect(errors.isEmpty)
    #expect(found == expected)
  }

  static let bad: [(String, String)] = [
    // Keys and lines.
    ("a", "1:2: expected = after a, this is the end of the file; write a = VALUE"),
    ("a\nb = 1", "1:2: expected = after a, this is the end of the line"), ("a =", "1:4: a has no value"),
    ("a = # 1", "1:5: a has no value"), ("= 1", "1:1: expected a key, this is ="),
    ("a..b = 1", "1:3: expected a key, this is ."),
    (".a = 1", "1:1: expected a key"), ("a. = 1", "1:4: expected a key, this is ="),
    ("a b = 1", "1:3: expected = after a, this is b"),
    ("ü = 1", "1:1: expected a key, this is ü"), ("\"\"\"a\"\"\" = 1", "1:1: a key stands in single quotes"),
    ("\"a\nb\" = 1", "1:1: the text that begins here is not closed on its line"),
    ("a = 1 b = 2", "1:7: expected the end of the line, this is b"),
    ("a = 1, b = 2", "1:6: expected the end of the line, this is ,"),
    ("a = 1\rb = 2", "1:6: expected the end of the line"),
    ("a = 1\na = 2", "2:1: a is set twice, first on line 1"), ("a.b = 1\na.b = 2", "2:1: a.b is set twice"),
    ("a = 1\n\"a\" = 2", "2:1: a is set twice"), ("a = 1\na.b = 2", "2:1: a is there already, on line 1"),
    ("a.b = 1\na = 2", "2:1: a is set twice"), ("a = { b = 1 }\na.c = 2", "2:1: a is there already"),
    // Texts.
    ("a = \"b", "1:5: the text that begins here is not closed on its line"), ("a = 'b\n'", "1:5: the text that begins"),
    ("a = \"\"\"b\n", "1:5: the text that begins here is never closed; write \"\"\""),
    ("a = '''b''", "1:5: the text that begins here is never closed"),
    (#"a = "\q""#, #"1:6: \q is no escape"#), (#"a = "\u12""#, #"1:6: \u needs 4 hexadecimal digits"#),
    (#"a = "\U0001F60""#, #"1:6: \U needs 8 hexadecimal digits"#), (#"a = "\uD800""#, "1:6: U+D800 is no character"),
    (#"a = "\U00110000""#, "1:6: U+00110000 is no character"),
    ("a = \"\u{1}\"", "1:6: a control character, \\u{1}, in a text"),
    ("a = '\u{7F}'", "1:6: a control character"), ("# a \u{0}", "1:5: a control character, \\u{0}, in a comment"),
    ("a = \"\"\"b\u{B}\"\"\"", "1:9: a control character"),
    ("a = 'b'c", "1:8: expected the end of the line, this is c"),
    ("a = \"\"\"b\"\"\"\"\"\"", "1:14: expected the end of the line"),
    ("a = \"\"\"\\ b\"\"\"", #"1:8: \  is no escape"#),
    // Words and numbers.
    ("a = info", "1:5: info is no value; a text stands in quotes: \"info\""),
    ("a = True", "1:5: True is written in small letters"),
    ("a = FALSE", "1:5: FALSE is written"), ("a = 007", "1:5: the number 007 must not begin with 0"),
    ("a = -01", "1:5: the number -01 must not begin with 0"), ("a = 00.5", "1:5: the number 00.5 must not"),
    ("a = 1__0", "1:5: in the number 1__0 each _"), ("a = _1", "1:5: _1 is no value"),
    ("a = 1_", "1:5: in the number 1_ each _"),
    ("a = 0x_1", "1:5: in the number 0x_1 each _"),
    ("a = 9223372036854775808", "1:5: the number 9223372036854775808 is out of range"),
    ("a = 0xFFFFFFFFFFFFFFFF", "1:5: the number 0xFFFFFFFFFFFFFFFF is out of range"),
    ("a = +0x1", "1:5: +0x1 is no number"),
    ("a = 0b2", "1:5: 0b2 is no number"), ("a = 0X1", "1:5: the number 0X1 must not begin with 0"),
    ("a = 1.", "1:5: 1. is no number"),
    ("a = .5", "1:5: .5 is no number"), ("a = 1.e5", "1:5: 1.e5 is no number"), ("a = 1e", "1:5: 1e is no number"),
    ("a = 1e5.0", "1:5: 1e5.0 is no number"), ("a = 1.2.3", "1:5: 1.2.3 is no number"),
    ("a = 15s", "1:5: 15s is no number"),
    ("a = +", "1:5: + is no value"), ("a = 1_.5", "1:5: in the number"), ("a = Inf", "1:5: Inf is no value"),
    ("a = 1979-05-27T07:32:00Z", "1:5: 1979-05-27T07:32:00Z looks like a date or a time"),
    ("a = 1979-05-27", "1:5: 1979-05-27 looks like a date"),
    ("a = 07:32:00", "1:5: 07:32:00 looks like a date or a time"), ("a = @", "1:5: expected a value, this is @"),
    // Lists and inline tables.
    ("a = [1, 2", "1:5: the list that begins here is never closed; write ]"),
    ("a = [1 2]", "1:8: expected a comma or ] in the list that begins at 1:5, this is 2"),
    ("a = [,]", "1:6: expected a value before this comma"), ("a = [1,,2]", "1:8: expected a value before"),
    ("a = [1]]", "1:8: expected the end of the line"), ("a = {b = 1,}", "1:12: no comma may stand before the }"),
    ("a = {b = 1\n}", "1:11: the inline table that begins at 1:5 must be closed by } on its line"),
    ("a = {\nb = 1}", "1:6: the inline table"),
    ("a = {b = 1, b = 2}", "1:13: b is set twice"),
    ("a = {b = 1 c = 2}", "1:12: expected a comma or } in the inline table"),
    ("a = {b}", "1:7: expected = after b, this is }"), ("a = {", "1:6: the inline table"),
    ("a = {b = {c = 1}, b.d = 2}", "1:19: b is there already"),
    // Tables.
    ("[]", "1:2: the table's name is missing"), ("[a", "1:3: expected ] after the table's name"),
    ("[a]]", "1:4: expected the end of the line"),
    ("[[a]", "1:4: expected ]] after the table's name, this is ]"), ("[a.]", "1:4: expected a key, this is ]"),
    ("[a] b = 1", "1:5: expected the end of the line"),
    ("[ [a]]", "1:3: expected a key, this is ["),
    ("[a]\n[a]", "2:2: the table a is there already, on line 1; put its keys together"),
    ("[a]\nb = 1\n[a.b]", "3:4: a.b has a value already, on line 2"),
    ("[a]\nb = 1\n[a.b.c]", "3:4: b is a value, on line 2"),
    ("a.b = 1\n[a]", "2:2: the table a is there already"),
    ("[a]\nb.c = 1\n[a.b]", "3:4: the table a.b is there already"),
    ("[a.b.c]\nd = 1\n[a]\nb.c.e = 2", "4:3: c is there already"), ("a = {}\n[a.b]\n[a]", "2:2: a is a value"),
    ("[a]\n[[a]]", "2:3: a is there already, on line 1, and is no list of tables"),
    ("[[a]]\n[a]", "2:2: a is a list of tables, since line 1; write [[a]]"),
    ("a = [{}]\n[[a]]", "2:3: a is there already"), ("a = []\n[[a.b]]", "2:3: a is a value"),
  ]

  @Test(arguments: bad) func `what TOML forbids is refused where it stands`(text: String, message: String) {
    let (_, errors) = Reading.of(text)
    #expect(errors.first?.description.hasPrefix(message) == true, "\(errors)")
  }

  @Test func `every mistake of a file is told`() {
    let text = """
      [coordinator
      port = 80
      [worker]
      slots 4
      name = box
      limit = 010
      list = [1, 2
        3, "a"
        4]
      good = 1
      good = 2
      """
    let (_, errors) = Reading.of(text)
    #expect(errors.map(\.position.line) == [1, 4, 5, 6, 8, 11])
  }

  @Test func `columns count characters, not bytes`() {
    let (_, errors) = Reading.of("\"größe\" = ja")
    #expect(errors.map(\.position) == [TOMLPosition(line: 1, column: 11)])
  }

  @Test func `bytes that are no UTF-8 are refused where they stand`() {
    let (_, errors) = TOMLParser.parse(Array("a = 1\nb = 'ü".utf8) + [0xC3, 0x27])
    #expect(errors.map(\.position) == [TOMLPosition(line: 2, column: 7)])
    #expect(errors.first?.explanation.contains("UTF-8") == true)
  }

  @Test func `depth has an end`() {
    let deep = "a = " + String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
    #expect(Reading.of(deep).errors.isEmpty)
    for text in [
      "a = " + String(repeating: "[", count: 33), "a = " + String(repeating: "{b=", count: 100_000),
      String(repeating: "a.", count: 100) + "a = 1", "[" + String(repeating: "a.", count: 40) + "a]",
    ] { #expect(Reading.of(text).errors.count == 1) }
  }

  @Test func `size and the number of mistakes have an end`() {
    let long = [UInt8](repeating: UInt8(ascii: "\n"), count: TOMLParser.maxBytes + 1)
    #expect(TOMLParser.parse(long).errors.first?.explanation.contains("at most 1048576") == true)
    #expect(Reading.of(String(repeating: "a\n", count: 1_000)).errors.count == 50)
  }

  @Test func `many tables cost no more than their lines`() {
    let text = (0..<20_000).map { "[a.b\($0)]\nc = [\($0)]\n" }.joined()
    let (table, errors) = TOMLParser.parse(Array(text.utf8))
    #expect(errors.isEmpty)
    guard case .table(let tables) = table["a"]?.item.value else {
      Issue.record("a is no table")
      return
    }
    #expect(tables.entries.count == 20_000)
  }

  @Test(arguments: ["", "plain", "a b", "\"", "\\", "line\nline", "\u{1}\u{7F}\t\r", "ü🙂"])
  func `what is written as a text or a key is read as the same`(text: String) {
    let (table, errors) = TOMLParser.parse(Array("\(TOMLText.key(text)) = \(TOMLText.string(text))".utf8))
    #expect(errors.isEmpty)
    #expect(table[text]?.item.value == .string(text))
  }
}
