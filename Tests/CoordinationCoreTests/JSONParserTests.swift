@testable import CoordinationCore
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct JSONParserTests {
  /// Text that is written exactly as it is read.
  static let exact: [(text: String, value: JSONValue)] = [
    ("null", .null), ("true", true), ("false", false),
    ("0", 0), ("-1", -1), ("42", 42),
    ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
    ("0.5", 0.5), ("-0.0", .number(-0.0)), ("1e+308", .number(1e308)), ("5e-324", .number(.leastNonzeroMagnitude)),
    ("1.7976931348623157e+308", .number(.greatestFiniteMagnitude)), ("0.1", 0.1), ("1e+100", .number(1e100)),
    ("\"\"", ""), ("\"é€😀\"", "é€😀"), (#""\"\\""#, "\"\\"), (#""\n\r\t""#, "\n\r\t"),
    (#""\u0000\u001f""#, "\u{0}\u{1f}"),
    ("\"\u{7f}\"", "\u{7f}"),
    ("[]", .array([])), ("[1,[2,[]],{}]", .array([1, [2, .array([])], .object([:])])), ("{}", .object([:])),
    (#"{"a":1,"b":{"c":[null]}}"#, ["a": 1, "b": ["c": [nil]]]), (#"{"":""}"#, ["": ""]),
  ]

  @Test(arguments: exact)
  func `a value is written as it is read`(text: String, value: JSONValue) throws {
    #expect(try JSONParser.parse(text) == value)
    #expect(value.text == text)
    #expect(try JSONParser.parse(" \t\r\n" + text + " \t\r\n") == value)
  }

  @Test(arguments: [
    ("-0", JSONValue.integer(0)), ("1.0", 1.0), ("1E2", .number(100)), ("1e-2", 0.01), ("1e+2", .number(100)),
    ("9223372036854775808", .number(9_223_372_036_854_775_808)), ("-9223372036854775809", .number(-0x1p63)),
    ("1e-400", .number(0)), ("123456789012345678901234567890", .number(1.2345678901234568e29)),
    (#""\/\b\f""#, "/\u{8}\u{c}"), (#""\u00e9""#, "é"), (#""\u00E9""#, "é"), (#""\ud83d\ude00""#, "😀"),
    (#""\uD800\uDC00""#, "\u{10000}"), (#""\uDBFF\uDFFF""#, "\u{10FFFF}"), (#""x\u0000y""#, "x\u{0}y"),
    ("[ 1 , 2 ]", .array([1, 2])), (#"{ "a" : 1 , "b" : 2 }"#, .object(["a": 1, "b": 2])),
  ])
  func `other spellings are read too`(text: String, value: JSONValue) throws {
    #expect(try JSONParser.parse(text) == value)
  }

  static let errors: [(text: String, problem: JSONError.Problem, offset: Int)] = [
    ("", .unexpectedEnd, 0), ("  ", .unexpectedEnd, 2), ("x", .unexpectedByte(UInt8(ascii: "x")), 0),
    ("tru", .expected("true"), 0), ("nul ", .expected("null"), 0), ("True", .unexpectedByte(UInt8(ascii: "T")), 0),
    ("NaN", .unexpectedByte(UInt8(ascii: "N")), 0), ("1 2", .trailingBytes, 2), ("{}}", .trailingBytes, 2),
    ("01", .badNumber, 1), ("-01", .badNumber, 2), ("-", .badNumber, 1), ("1.", .badNumber, 2), ("1.e1", .badNumber, 2),
    ("1e", .badNumber, 2), ("1e+", .badNumber, 3), ("1e309", .badNumber, 0), ("[-1e999]", .badNumber, 1),
    (".5", .unexpectedByte(UInt8(ascii: ".")), 0), ("+1", .unexpectedByte(UInt8(ascii: "+")), 0),
    ("1x", .trailingBytes, 1), ("\"", .unexpectedEnd, 1), ("\"ab", .unexpectedEnd, 3),
    ("\"a\u{1}\"", .controlCharacterInString(1), 2), ("\"\\n\u{0}\"", .controlCharacterInString(0), 3),
    (#""\x""#, .badEscape, 1), (#""\u12G4""#, .badEscape, 5), (#""\"#, .unexpectedEnd, 2),
    (#""\u12"#, .unexpectedEnd, 3),
    (#""\ud800""#, .loneSurrogate, 1), (#""\ud800x""#, .loneSurrogate, 1), (#""a\udc00""#, .loneSurrogate, 2),
    (#""\ud800\u0041""#, .loneSurrogate, 1), (#""\ud800\ud800""#, .loneSurrogate, 1),
    ("[", .unexpectedEnd, 1), ("[1", .unexpectedEnd, 2), ("[1,", .unexpectedEnd, 3),
    ("[1,]", .unexpectedByte(UInt8(ascii: "]")), 3), ("[,1]", .unexpectedByte(UInt8(ascii: ",")), 1),
    ("[1 2]", .expected("',' or ']'"), 3), ("[1}", .expected("',' or ']'"), 2),
    ("{", .unexpectedEnd, 1), ("{1:2}", .expected("a member name"), 1), (#"{"a"}"#, .expected("':'"), 4),
    (#"{"a""#, .unexpectedEnd, 4), (#"{"a":}"#, .unexpectedByte(UInt8(ascii: "}")), 5), (#"{"a":1"#, .unexpectedEnd, 6),
    (#"{"a":1,}"#, .expected("a member name"), 7), (#"{"a":1 "b":2}"#, .expected("',' or '}'"), 7),
    ("\u{FEFF}1", .unexpectedByte(0xEF), 0),
  ]

  @Test(arguments: errors)
  func `an error says what is wrong and where`(text: String, problem: JSONError.Problem, offset: Int) {
    let error = #expect(throws: JSONError.self) { try JSONParser.parse(text) }
    #expect(error == JSONError(problem: problem, offset: offset))
    #expect(error?.description.hasSuffix("at byte \(offset)") == true)
  }

  @Test
  func `nesting is accepted up to the limit and refused one level deeper`() throws {
    let limit = JSONParser.maxDepth
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    let value = try JSONParser.parse(nested(limit))
    #expect(value.nests(atMost: limit) && !value.nests(atMost: limit - 1))
    #expect(throws: JSONError(problem: .nestedTooDeeply(limit: limit), offset: limit)) {
      try JSONParser.parse(nested(limit + 1))
    }
    let objects = String(repeating: #"{"a":"#, count: 100_000)
    #expect(throws: JSONError(problem: .nestedTooDeeply(limit: limit), offset: limit * 5)) {
      try JSONParser.parse(objects)
    }
  }

  @Test(arguments: [[0xFF], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xE2, 0x82, 0x22]])
  func `bytes that are not UTF-8 are refused`(bytes: [UInt8]) {
    #expect(throws: JSONError(problem: .notUTF8, offset: 0)) { try JSONParser.parse(bytes) }
  }

  @Test
  func `the last of several equal member names wins in a short object`() throws {
    #expect(try JSONParser.parse(#"{"a":1,"b":2,"a":3}"#) == ["a": 3, "b": 2])
  }

  @Test
  func `a long object keeps its repeats, reads the first, and equals itself`() throws {
    let members = (0..<40).map { "\"m\($0)\":\($0)" } + ["\"m39\":-1"]
    let value = try JSONParser.parse("{\(members.joined(separator: ","))}")
    #expect(value.object?.count == 41)
    #expect(value.object?["m39"] == 39)
    let same = value
    #expect(value == same)
  }

  @Test
  func `two spellings of an accented name are two members`() throws {
    let composed = "\u{E9}"
    let decomposed = "e\u{301}"
    let value = try JSONParser.parse("{\"\(composed)\":1,\"\(decomposed)\":2}")
    #expect(value.object?.count == 2)
    #expect(value.object?[composed] == 1)
    #expect(value.object?[decomposed] == 2)
  }

  @Test
  func `objects are equal in any order of their members`() {
    #expect(JSONObject(dictionaryLiteral: ("a", 1), ("b", 2)) == JSONObject(dictionaryLiteral: ("b", 2), ("a", 1)))
    #expect(JSONObject(dictionaryLiteral: ("a", 1), ("b", 2)) != JSONObject(dictionaryLiteral: ("a", 1), ("b", 3)))
    #expect(JSONObject(dictionaryLiteral: ("a", 1)) != JSONObject(dictionaryLiteral: ("a", 1), ("b", 3)))
  }

  @Test
  func `a number that JSON cannot write becomes null`() {
    #expect(JSONValue.array([.number(.nan), .number(.infinity), .number(-.infinity)]).text == "[null,null,null]")
  }

  @Test
  func `a text cut at any byte is refused`() throws {
    let text = #"{"type":"x","a":[1,-2.5e3,true,null,"\ud83d\ude00\n é"],"b":{"c":{}}}"#
    let bytes = Array(text.utf8)
    _ = try JSONParser.parse(bytes)
    for count in 0..<bytes.count {
      #expect(throws: JSONError.self) { try JSONParser.parse(Array(bytes[..<count]), validated: true) }
    }
  }

  @Test
  func `what is written is read back the same`() {
    let seed = freshSeed()
    var random = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let value = randomValue(depth: 5, using: &random)
      let text = value.text
      guard (try? JSONParser.parse(text)) == value else {
        Issue.record("\(text)\n\(replayCommand(seed, "JSONParserTests"))")
        return
      }
    }
  }

  @Test
  func `changed bytes are read or refused, never more`() {
    let seed = freshSeed()
    var random = SeededGenerator(seed: seed)
    print(replayCommand(seed, "JSONParserTests"))
    for _ in 0..<3_000 {
      var bytes = Array(randomValue(depth: 4, using: &random).text.utf8)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &random)
        case 1: bytes.insert(Array("\"\\{}[]:,-0eE.u".utf8).randomElement(using: &random) ?? 0, at: index)
        default: if bytes.count > 1 { bytes.remove(at: index) }
        }
      }
      if let value = try? JSONParser.parse(bytes) { _ = value.text }
      _ = try? Envelope.open(bytes, mode: .legacy)
    }
  }
}

func randomValue(depth: Int, using random: inout SeededGenerator) -> JSONValue {
  switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &random) {
  case 0: return .null
  case 1: return .bool(.random(using: &random))
  case 2: return .integer(Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random))
  case 3:
    let number = Double(bitPattern: random.next())
    return .number(number.isFinite ? number : 0.5)
  case 4, 5: return .string(randomText(using: &random))
  case 6:
    return .array(
      (0..<Int.random(in: 0...4, using: &random)).map { _ in randomValue(depth: depth - 1, using: &random) })
  default:
    var object = JSONObject()
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      object[randomText(using: &random)] = randomValue(depth: depth - 1, using: &random)
    }
    return .object(object)
  }
}

func randomText(using random: inout SeededGenerator) -> String {
  var text = ""
  for _ in 0..<Int.random(in: 0...8, using: &random) {
    let range: ClosedRange<UInt32> =
      [0...0x1F, 0x20...0x7F, 0x80...0x2FF, 0x300...0x36F, 0xE000...0x10FFFF]
      .randomElement(using: &random) ?? 0...1
    text.unicodeScalars.append(UnicodeScalar(UInt32.random(in: range, using: &random)) ?? "?")
  }
  return text
}
