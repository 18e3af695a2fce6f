import Primitives
import Terminal
import Testing

@testable import StructuredLog

@Suite struct LogLineTests {
  let time = WallTime(milliseconds: 1_795_437_296_789)

  @Test func `a line has time, level, component, message and fields`() {
    let fields = LogLine.field("worker", "w1") + LogLine.field("session", "s-9")
    let line = LogLine.text(
      time: time, level: .info, component: "coordinator", message: "worker registered", fields: fields, style: .plain)
    #expect(line == "2026-11-23T12:34:56.789Z INFO  coordinator: worker registered worker=w1 session=s-9")
  }

  @Test(arguments: [
    (LogLevel.debug, "DEBUG c: m"), (.info, "INFO  c: m"), (.warning, "WARNING c: m"), (.error, "ERROR c: m"),
    (.critical, "CRITICAL c: m"),
  ])
  func `short levels are padded`(level: LogLevel, expected: String) {
    let line = LogLine.text(time: time, level: level, component: "c", message: "m", fields: "", style: .plain)
    #expect(line == "2026-11-23T12:34:56.789Z " + expected)
  }

  @Test func `the level is coloured where colours are wanted`() {
    let line = LogLine.text(
      time: time, level: .error, component: "c", message: "m", fields: "", style: TextStyle(isEnabled: true))
    #expect(line == "2026-11-23T12:34:56.789Z \u{1B}[31mERROR\u{1B}[0m c: m")
  }

  @Test(arguments: [
    ("w1", " k=w1"), ("127.0.0.1:80", " k=127.0.0.1:80"), ("", " k=\"\""), ("two words", " k=\"two words\""),
    ("a=b", " k=\"a=b\""), ("say \"hi\"", " k=\"say \\\"hi\\\"\""), ("a\\b", " k=\"a\\\\b\""), ("日本", " k=日本"),
    ("\u{A0}", " k=\"\u{A0}\""), ("a\u{202E}b", " k=\"a\\u{202e}b\""),
    (
      "x\n2026-11-23T12:34:56.789Z INFO  coordinator: all is well",
      " k=\"x\\n2026-11-23T12:34:56.789Z INFO  coordinator: all is well\""
    ),
  ])
  func `a value that could be misread is quoted`(value: String, expected: String) {
    #expect(LogLine.field("k", value) == expected)
  }

  @Test func `no text of a peer's makes a second line or reaches the terminal as a command`() {
    for value in (0...0x2FFF).compactMap(Unicode.Scalar.init) {
      let field = LogLine.field("k", "a\(value)b")
      let isHarmless = field.unicodeScalars.allSatisfy {
        ![.control, .format, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
      }
      #expect(isHarmless, "U+\(String(value.value, radix: 16))")
    }
  }

  @Test func `a long value is cut, however it is composed`() {
    let long = LogLine.field("k", String(repeating: "x", count: 100_000))
    #expect(long.count == 3 + LogLine.valueCharactersMax + 1 && long.hasSuffix("x…"))
    let marks = LogLine.field("k", "e" + String(repeating: "\u{301}", count: 100_000))
    #expect(marks.unicodeScalars.count < 600)
    #expect(LogLine.field("k", String(repeating: "x", count: 512)).hasSuffix("x"))
  }
}
