import Primitives

/// Why a text is not acceptable JSON, and where.
public struct JSONError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case unexpectedEnd
    case unexpectedByte(UInt8)
    case expected(String)
    case nestedTooDeeply(limit: Int)
    case badEscape
    case loneSurrogate
    case controlCharacterInString(UInt8)
    case badNumber
    case notUTF8
    case trailingBytes
  }

  public let problem: Problem
  /// Where in the text, in bytes from its start.
  public let offset: Int

  public var description: String {
    let what =
      switch problem {
      case .unexpectedEnd: "the text ends too early"
      case .unexpectedByte(let byte): "unexpected \(Self.name(byte))"
      case .expected(let what): "expected \(what)"
      case .nestedTooDeeply(let limit): "nested more than \(limit) levels deep"
      case .badEscape: "unknown escape sequence"
      case .loneSurrogate: "half of a surrogate pair"
      case .controlCharacterInString(let byte): "unescaped control character \(byte) in a string"
      case .badNumber: "malformed number"
      case .notUTF8: "not UTF-8"
      case .trailingBytes: "bytes after the value"
      }
    return "\(what) at byte \(offset)"
  }

  private static func name(_ byte: UInt8) -> String {
    (0x20..<0x7F).contains(byte) ? "'\(Character(UnicodeScalar(byte)))'" : "byte \(byte)"
  }
}

/// A strict RFC 8259 parser over bytes already known to be UTF-8, or checked here when asked.
public struct JSONParser {
  /// Nesting that a peer may ask for; recursion on its data needs a bound.
  public static let maxDepth = 64

  private let bytes: [UInt8]
  private var position = 0
  private var depth = 0

  private init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// The one value in `bytes`, surrounded by nothing but white space.
  ///
  /// - Parameter validated: whether the bytes are already known to be UTF-8, as a WebSocket text message is.
  public static func parse(_ bytes: [UInt8], validated: Bool = false) throws(JSONError) -> JSONValue {
    if !validated, String(validating: bytes, as: UTF8.self) == nil { throw JSONError(problem: .notUTF8, offset: 0) }
    var parser = JSONParser(bytes)
    let value = try parser.value()
    parser.skipWhiteSpace()
    guard parser.position == bytes.count else { throw parser.error(.trailingBytes) }
    return value
  }

  public static func parse(_ text: String) throws(JSONError) -> JSONValue {
    try parse(Array(text.utf8), validated: true)
  }

  private func error(_ problem: JSONError.Problem) -> JSONError { JSONError(problem: problem, offset: position) }

  private mutating func skipWhiteSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  private mutating func value() throws(JSONError) -> JSONValue {
    skipWhiteSpace()
    guard position < bytes.count else { throw error(.unexpectedEnd) }
    switch bytes[position] {
    case UInt8(ascii: "{"): return .object(try object())
    case UInt8(ascii: "["): return .array(try array())
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    case let byte: throw error(.unexpectedByte(byte))
    }
  }

  private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let word = "\(word)".utf8
    guard bytes.count - position >= word.count, bytes[position..<position + word.count].elementsEqual(word) else {
      throw error(.expected("\(word)"))
    }
    position += word.count
    return value
  }

  private mutating func enter() throws(JSONError) {
    depth += 1
    guard depth <= Self.maxDepth else { throw error(.nestedTooDeeply(limit: Self.maxDepth)) }
    position += 1
    skipWhiteSpace()
  }

  private mutating func object() throws(JSONError) -> JSONObject {
    try enter()
    defer { depth -= 1 }
    var result = JSONObject()
    if accept(UInt8(ascii: "}")) { return result }
    result.reserveCapacity(8)
    while true {
      skipWhiteSpace()
      guard position < bytes.count else { throw error(.unexpectedEnd) }
      guard bytes[position] == UInt8(ascii: "\"") else { throw error(.expected("a member name")) }
      let key = try string()
      skipWhiteSpace()
      guard accept(UInt8(ascii: ":")) else {
        throw position < bytes.count ? error(.expected("':'")) : error(.unexpectedEnd)
      }
      let member = try value()
      // The last of several equal names wins, as it does in the reference's parser. Looking back is bounded: past a
      // few dozen members it would let a peer buy quadratic work, so a long object keeps its repeats and reads the first.
      if result.count <= 32 { result[key] = member } else { result.append(key, member) }
      skipWhiteSpace()
      if accept(UInt8(ascii: ",")) { continue }
      if accept(UInt8(ascii: "}")) { return result }
      throw position < bytes.count ? error(.expected("',' or '}'")) : error(.unexpectedEnd)
    }
  }

  private mutating func array() throws(JSONError) -> [JSONValue] {
    try enter()
    defer { depth -= 1 }
    var result: [JSONValue] = []
    if accept(UInt8(ascii: "]")) { return result }
    while true {
      result.append(try value())
      skipWhiteSpace()
      if accept(UInt8(ascii: ",")) { continue }
      if accept(UInt8(ascii: "]")) { return result }
      throw position < bytes.count ? error(.expected("',' or ']'")) : error(.unexpectedEnd)
    }
  }

  private mutating func accept(_ byte: UInt8) -> Bool {
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    let negative = accept(UInt8(ascii: "-"))
    let digits = position
    var magnitude: UInt64 = 0
    var fits = true
    while position < bytes.count, case let digit = bytes[position] &- 0x30, digit <= 9 {
      if fits {
        let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
        fits = !overflow && !carry
        magnitude = sum
      }
      position += 1
    }
    guard position > digits else { throw error(.badNumber) }
    if bytes[digits] == UInt8(ascii: "0"), position - digits > 1 {
      throw JSONError(problem: .badNumber, offset: digits + 1)
    }
    var isWhole = true
    if accept(UInt8(ascii: ".")) {
      isWhole = false
      try skipDigits()
    }
    if accept(UInt8(ascii: "e")) || accept(UInt8(ascii: "E")) {
      isWhole = false
      if !accept(UInt8(ascii: "+")) { _ = accept(UInt8(ascii: "-")) }
      try skipDigits()
    }
    if isWhole, fits {
      if !negative, let value = Int64(exactly: magnitude) { return .integer(value) }
      if negative, magnitude <= Int64.min.magnitude { return .integer(Int64(truncatingIfNeeded: 0 &- magnitude)) }
    }
    guard let value = Double(String(decoding: bytes[start..<position], as: UTF8.self)), value.isFinite else {
      throw JSONError(problem: .badNumber, offset: start)
    }
    return .number(value)
  }

  private mutating func skipDigits() throws(JSONError) {
    let start = position
    while position < bytes.count, bytes[position] &- 0x30 <= 9 { position += 1 }
    guard position > start else { throw error(.badNumber) }
  }

  private mutating func string() throws(JSONError) -> String {
    position += 1
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        defer { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
      }
      if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
      if byte < 0x20 { throw error(.controlCharacterInString(byte)) }
      position += 1
    }
    throw error(.unexpectedEnd)
  }

  /// The slow path: the rest of a string in which an escape was met.
  private mutating func escapedString(from start: Int) throws(JSONError) -> String {
    var text = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"):
        position += 1
        try escape(into: &text)
      case 0..<0x20:
        throw error(.controlCharacterInString(byte))
      default:
        text.append(byte)
        position += 1
      }
    }
    throw error(.unexpectedEnd)
  }

  private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
    guard position < bytes.count else { throw error(.unexpectedEnd) }
    let start = position - 1
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      let first = try hexQuad()
      var scalar = UInt32(first)
      if (0xD800..<0xDC00).contains(first) {
        guard accept(UInt8(ascii: "\\")), accept(UInt8(ascii: "u")) else {
          throw position < bytes.count ? JSONError(problem: .loneSurrogate, offset: start) : error(.unexpectedEnd)
        }
        let second = try hexQuad()
        guard (0xDC00..<0xE000).contains(second) else { throw JSONError(problem: .loneSurrogate, offset: start) }
        scalar = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
      }
      guard let scalar = UnicodeScalar(scalar) else { throw JSONError(problem: .loneSurrogate, offset: start) }
      text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    default: throw JSONError(problem: .badEscape, offset: start)
    }
  }

  private mutating func hexQuad() throws(JSONError) -> UInt16 {
    guard bytes.count - position >= 4 else { throw error(.unexpectedEnd) }
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = Character(UnicodeScalar(bytes[position])).hexDigitValue else { throw error(.badEscape) }
      value = value << 4 | UInt16(digit)
      position += 1
    }
    return value
  }
}
