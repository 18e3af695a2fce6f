/// A JSON object as Python's `json.dumps(…, sort_keys=True)` writes it: members in the order of their names' code points,
/// `", "` and `": "` between them. Numbers and strings stay the characters that they were: the peer's own `json.dumps`
/// wrote them, and would write them again.
struct LegacyCanonicalText {
  private let bytes: [UInt8]
  private var position = 0
  /// The value of the member `signature` of the outermost object.
  private var signature: String?

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The text without its signature, and the signature; `nil` when it is no object with one.
  static func parts(of bytes: [UInt8]) -> (text: [UInt8], signature: String)? {
    var scanner = LegacyCanonicalText(bytes)
    guard let text = scanner.value(depth: 0), let signature = scanner.signature else { return nil }
    scanner.skipSpace()
    return scanner.position == bytes.count ? (text, signature) : nil
  }

  private mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) -> [UInt8]? {
    skipSpace()
    guard position < bytes.count, depth <= JSONParser.maxDepth else { return nil }
    switch bytes[position] {
    case UInt8(ascii: "{"): return object(depth: depth)
    case UInt8(ascii: "["): return array(depth: depth)
    case UInt8(ascii: "\""): return string()
    default: return word()
    }
  }

  private mutating func object(depth: Int) -> [UInt8]? {
    position += 1
    var members: [(name: String, text: [UInt8])] = []
    if take("}") { return Array("{}".utf8) }
    repeat {
      skipSpace()
      guard let key = string(), let name = Self.decoded(key), take(":"), let text = value(depth: depth + 1) else {
        return nil
      }
      if depth == 0, name == "signature" {
        signature = Self.decoded(text)
      } else {
        members.append((name: name, text: key + Array(": ".utf8) + text))
      }
    } while take(",")
    guard take("}") else { return nil }
    members.sort { $0.name.unicodeScalars.lexicographicallyPrecedes($1.name.unicodeScalars) }
    return Array("{".utf8) + Array(members.map(\.text).joined(separator: Array(", ".utf8))) + Array("}".utf8)
  }

  private mutating func array(depth: Int) -> [UInt8]? {
    position += 1
    var elements: [[UInt8]] = []
    if take("]") { return Array("[]".utf8) }
    repeat {
      guard let element = value(depth: depth + 1) else { return nil }
      elements.append(element)
    } while take(",")
    guard take("]") else { return nil }
    return Array("[".utf8) + Array(elements.joined(separator: Array(", ".utf8))) + Array("]".utf8)
  }

  /// With its quotation marks.
  private mutating func string() -> [UInt8]? {
    let start = position
    guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { return nil }
    position += 1
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        position += 1
        return Array(bytes[start..<position])
      case UInt8(ascii: "\\"): position += 2
      default: position += 1
      }
    }
    return nil
  }

  private mutating func word() -> [UInt8]? {
    let start = position
    while position < bytes.count, ![0x20, 0x09, 0x0A, 0x0D, 0x2C, 0x5D, 0x7D].contains(bytes[position]) {
      position += 1
    }
    return position > start ? Array(bytes[start..<position]) : nil
  }

  private static func decoded(_ string: [UInt8]) -> String? {
    (try? JSONParser.parse(string, validated: true))?.string
  }
}
