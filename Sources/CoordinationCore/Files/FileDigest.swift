public import Cryptography

/// Names a file's bytes by their SHA-256, in 64 lower-case hexadecimal digits.
public struct FileDigest: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let text: String

  /// - Returns: `nil` unless `text` is 64 digits of `0-9a-f`.
  public init?(_ text: String) {
    guard text.utf8.count == 2 * SHA256Digest.byteCount, text.utf8.allSatisfy(Self.isDigit) else { return nil }
    self.text = text
  }

  public init(_ digest: SHA256Digest) {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(2 * SHA256Digest.byteCount)
    for byte in digest.bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 0xF)])
    }
    self.text = String(decoding: text, as: UTF8.self)
  }

  public var description: String { text }
  public static func < (left: FileDigest, right: FileDigest) -> Bool { left.text < right.text }

  private static func isDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
    default: false
    }
  }
}

/// A file's bytes, and how many there are.
public struct FileReference: Hashable, Sendable, CustomStringConvertible {
  public let digest: FileDigest
  public let size: Int

  public init(_ digest: FileDigest, size: Int) {
    self.digest = digest
    self.size = size
  }

  public var description: String { "\(digest) (\(size) bytes)" }

  /// The members `sha256` and `size`.
  public var fields: JSONObject { ["sha256": .string(digest.text), "size": .integer(Int64(size))] }

  /// Reads these members from a peer.
  public init(_ reader: FieldReader) throws(MessageError) {
    self.init(try FileDigest(reader), size: try reader.integer("size", in: 0...FileLimits.maxBytes))
  }
}

extension FileDigest {
  /// Reads the member `sha256` from a peer.
  public init(_ reader: FieldReader) throws(MessageError) {
    let text = try reader.string("sha256", maxBytes: 256)
    guard let digest = FileDigest(text) else {
      throw .badValue("sha256", problem: "it is not 64 digits of 0-9a-f")
    }
    self = digest
  }
}

/// What holds for every file, wherever it is.
public enum FileLimits {
  /// The largest that anything can be told to take, in bytes.
  public static let maxBytes = 1 << 50
  /// The most in one piece on a connection, in bytes: a message, with its header, stays below
  /// `Protocols.maxMessageBytes`.
  public static let maxChunkBytes = 512 << 10
  /// Of one task.
  public static let maxInputs = 1_000
  public static let maxOutputPatterns = 100
  public static let maxOutputs = 1_000
}
