import CZlib
import Cryptography
import Primitives

/// What the reference's enhanced worker does to its messages: it signs them, and wraps long ones that shrink well.
enum LegacyText {
  // MARK: The wrapping

  /// The message inside `{"compressed": true, "original_size": …, "compressed_size": …, "data": …}`; anything else as it is.
  ///
  /// - Parameter limit: the most bytes that a message may have, whatever it claims.
  static func unwrapped(_ bytes: [UInt8], limit: Int) throws(MessageError) -> [UInt8] {
    // Ordinary messages, which name their type, are not parsed for this.
    guard let value = Self.wrapping(bytes) else { return bytes }
    let reader = FieldReader(value)
    let size = try reader.integer("original_size", in: 0...Int(Int32.max))
    guard size <= limit else {
      throw .badValue("original_size", problem: "\(size) bytes are more than a message may have, \(limit)")
    }
    guard let data = value["data"]?.string, let compressed = Base64.decode(data) else {
      throw .badValue("data", problem: "it is not base64")
    }
    var plain = [UInt8](repeating: 0, count: size)
    var count = UInt(size)
    // SAFETY: zlib reads and writes no more than it is told that there is.
    let status = unsafe uncompress(&plain, &count, compressed, UInt(compressed.count))
    guard status == Z_OK, Int(clamping: count) == size else {
      throw .badValue("data", problem: "it is not \(size) bytes compressed by zlib")
    }
    return plain
  }

  private static func wrapping(_ bytes: [UInt8]) -> JSONObject? {
    guard contains(Array("\"compressed\"".utf8), in: bytes.prefix(64)),
      case .object(let object)? = try? JSONParser.parse(bytes, validated: true), object["compressed"] == .bool(true),
      object["type"] == nil
    else { return nil }
    return object
  }

  private static func contains(_ needle: [UInt8], in bytes: ArraySlice<UInt8>) -> Bool {
    guard bytes.count >= needle.count else { return false }
    return (bytes.startIndex...bytes.endIndex - needle.count).contains { bytes[$0...].starts(with: needle) }
  }

  // MARK: The signature

  /// Whether `signature` is base64 of HMAC-SHA256 over the rest of the message, its members sorted.
  ///
  /// - Parameter digest: the base64 text of the key's SHA-256, which the reference takes for its key.
  static func verify(_ bytes: [UInt8], digest: String) throws(MessageError) {
    guard let (text, signature) = LegacyCanonicalText.parts(of: bytes) else { throw .missingField("signature") }
    guard let code = Base64.decode(signature), code.count == SHA256Digest.byteCount else {
      throw .badValue("signature", problem: "it is not base64 of 32 bytes")
    }
    guard ConstantTime.areEqual(HMACSHA256.code(of: text, key: Array(digest.utf8)).bytes, code) else { throw .badCode }
  }
}
