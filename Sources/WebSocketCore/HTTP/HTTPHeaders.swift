/// Header fields in the order they came; names are compared without case (RFC 9110 §5.1).
///
/// Every field is well formed: a name is a token and a value has no control characters, so a value from elsewhere
/// cannot smuggle a second field in.
public struct HTTPHeaders: Hashable, Sendable {
  public struct Field: Hashable, Sendable {
    /// In lower case when received, as given when appended.
    public let name: String
    public let value: String
  }

  public private(set) var fields: [Field] = []

  public init() {}

  /// Adds a field; false, and nothing is added, if the name is no token or the value has control characters.
  @discardableResult
  public mutating func append(_ name: String, _ value: String) -> Bool {
    guard !name.isEmpty, name.utf8.allSatisfy(\.isTokenByte), value.utf8.allSatisfy(\.isFieldByte) else { return false }
    fields.append(Field(name: name, value: value))
    return true
  }

  /// The values of all fields with this name, in order.
  public func values(_ name: String) -> [String] {
    fields.filter { Self.equal($0.name, name) }.map(\.value)
  }

  /// The value of the first field with this name.
  public subscript(name: String) -> String? {
    fields.first { Self.equal($0.name, name) }?.value
  }

  public var count: Int { fields.count }

  static func equal(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count
      && zip(left.utf8, right.utf8).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
  }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
  /// The fields written in the source; a malformed one is a programming error.
  public init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements {
      precondition(append(name, value), "malformed header field \(name)")
    }
  }
}

extension UInt8 {
  /// RFC 9110 §5.6.2.
  var isTokenByte: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
      UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default: false
    }
  }

  /// RFC 9110 §5.5: visible characters, blanks, and bytes above ASCII.
  var isFieldByte: Bool { self == 0x09 || (self >= 0x20 && self != 0x7F) }

  var isBlank: Bool { self == 0x20 || self == 0x09 }

  var lowercasedASCII: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
}

extension Substring {
  var trimmingBlanks: Substring {
    var bytes = utf8[...]
    while let first = bytes.first, first.isBlank { bytes.removeFirst() }
    while let last = bytes.last, last.isBlank { bytes.removeLast() }
    return Substring(bytes)
  }
}

extension String {
  /// Whether this is a token (RFC 9110 §5.6.2).
  var isToken: Bool { !isEmpty && utf8.allSatisfy(\.isTokenByte) }
}
