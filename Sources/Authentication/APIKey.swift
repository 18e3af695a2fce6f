import Cryptography
import Primitives

/// What a client proves to have. Its text is the secret; nothing else shows it.
///
/// A key that `generate` made reads `NAME.SALT.SECRET`. Any other text, such as a password that somebody chose, is a key
/// with the name `default` and a salt that everybody knows.
@safe
public struct APIKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Why a text is no key.
  public enum ParseError: Error, Equatable, CustomStringConvertible {
    case length(Int)
    case characters
    /// The reference's workers use it when they have none.
    case referenceDefault

    public var description: String {
      switch self {
      case .length(let count): "an API key has 8 to 256 characters, this one has \(count)"
      case .characters: "an API key has visible ASCII characters only"
      case .referenceDefault:
        "\"default-key\" is what everybody knows who has read the original's source; choose another"
      }
    }
  }

  public static let defaultName = "default"
  static let saltBytes = 16
  private static let secretBytes = 32
  /// RFC 7677 §4 asks for as many at least. Generated secrets cannot be guessed anyhow; chosen ones are only ever kept in
  /// memory.
  static let iterations = 4_096

  public let name: String
  let salt: [UInt8]
  /// The whole text, for those to whom it is sent as it is.
  public let text: String
  /// What proves that somebody has the key (RFC 5802 §3, ClientKey).
  public let proofKey: [UInt8]

  public init(_ text: String) throws(ParseError) {
    guard (8...256).contains(text.utf8.count) else { throw .length(text.utf8.count) }
    guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw .characters }
    guard text != "default-key" else { throw .referenceDefault }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if parts.count == 3, Self.isName(parts[0]), let salt = Base64.decodeURL(parts[1]), salt.count == Self.saltBytes,
      Base64.decodeURL(parts[2])?.count == Self.secretBytes
    {
      self.init(name: parts[0], salt: salt, text: text)
    } else {
      self.init(
        name: Self.defaultName, salt: Array(SHA256.digest(of: "lifeline default key").bytes.prefix(16)), text: text)
    }
  }

  private init(name: String, salt: [UInt8], text: String) {
    self.name = name
    self.salt = salt
    self.text = text
    let salted = PBKDF2.key(from: Array(text.utf8), salt: salt, iterations: Self.iterations)
    proofKey = HMACSHA256.code(of: Array("Client Key".utf8), key: salted).bytes
  }

  /// A key that nobody can guess.
  public static func generate(name: String) -> APIKey {
    precondition(isName(name), "\(name) is no name for a key")
    let salt = SecureRandom.bytes(saltBytes)
    let text = "\(name).\(Base64.encodeURL(salt)).\(Base64.encodeURL(SecureRandom.bytes(secretBytes)))"
    return APIKey(name: name, salt: salt, text: text)
  }

  /// 1 to 64 of the characters `A–Z a–z 0–9 _ -`.
  public static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  /// Reads a key for somebody who sent it as it is; nothing is computed yet.
  static func nameOf(_ text: String) -> (name: String, salt: [UInt8])? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3, isName(parts[0]), let salt = Base64.decodeURL(parts[1]), salt.count == saltBytes else {
      return nil
    }
    return (parts[0], salt)
  }

  public var description: String { "API key \(name)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}
