/// An element of an XML document, with what is in it.
package struct XMLElement: Equatable, Sendable {
  package var name: String
  package var attributes: [String: String] = [:]
  package var children: [XMLElement] = []
  /// The text directly in it, without that of its children.
  package var text = ""

  package init(_ name: String) {
    self.name = name
  }

  package subscript(attribute: String) -> String? { attributes[attribute] }

  package func children(named name: String) -> [XMLElement] { children.filter { $0.name == name } }
}

/// What is wrong with a document, and where.
package struct XMLError: Error, Equatable, CustomStringConvertible {
  package enum Problem: Equatable, Sendable {
    case tooLarge(bytes: Int, limit: Int)
    case notUTF8
    case unexpected(String)
    case unexpectedEnd
    case doctype
    case encoding(String)
    case unknownEntity(String)
    case badCharacter(UInt32)
    case tooDeep(limit: Int)
    case tooMany(String, limit: Int)
    case wrongEnd(expected: String, found: String)
    case twice(attribute: String)
  }

  package let problem: Problem
  /// From 1.
  package let line: Int

  package var description: String {
    let text =
      switch problem {
      case .tooLarge(let bytes, let limit): "\(bytes) bytes; at most \(limit) are read"
      case .notUTF8: "it is not UTF-8"
      case .unexpected(let what): what
      case .unexpectedEnd: "it ends in the middle"
      case .doctype: "a document type is not allowed"
      case .encoding(let name): "the encoding \(name) is not read; UTF-8 is"
      case .unknownEntity(let name): "unknown entity &\(name); (only amp, lt, gt, quot and apos are known)"
      case .badCharacter(let code): "the character U+\(String(code, radix: 16, uppercase: true)) is not allowed"
      case .tooDeep(let limit): "nested more than \(limit) deep"
      case .tooMany(let what, let limit): "more than \(limit) \(what)"
      case .wrongEnd(let expected, let found): "</\(found)> where </\(expected)> was due"
      case .twice(let attribute): "the attribute \(attribute) stands there twice"
      }
    return "line \(line): \(text)"
  }
}

extension Unicode.Scalar {
  /// Whether XML 1.0 allows the character at all (§2.2), even as a reference.
  var isXMLCharacter: Bool {
    switch value {
    case 0x9, 0xA, 0xD, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
    default: false
    }
  }
}
