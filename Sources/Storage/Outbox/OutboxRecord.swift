import CZlib

/// The outbox's file format, all integers little-endian:
///
///     file    magic (7) · version (1) · CRC-32 of both (4) · record …
///     record  kind (1) · key bytes (2) · content bytes (4) · CRC-32 of these (4) · key · content · CRC-32 of both (4)
///
/// The head has a checksum of its own, so that a damaged length is told from a file that ends too early.
struct OutboxRecord {
  enum Kind: UInt8 { case append = 1, remove = 2 }

  enum Reading {
    case record(OutboxRecord, length: Int)
    /// The file ends before the record does, as after a crash in the middle of a write.
    case tornTail
    case damaged
  }

  static let version: UInt8 = 1
  static let maxKeyBytes = Int(UInt16.max)
  private static let headLength = 11
  private static let overhead = headLength + 4
  private static let magic = Array("LIFEOUT".utf8)

  let kind: Kind
  let key: String
  let content: [UInt8]

  static let fileHeader = checksummed(magic + [version])

  /// The bytes with their checksum behind them.
  static func checksummed(_ bytes: [UInt8]) -> [UInt8] {
    var result = bytes
    result.append(littleEndian: checksum(bytes[...]))
    return result
  }

  /// The version of a file that starts with these bytes; `nil` when they are not a whole header.
  static func fileVersion(_ bytes: [UInt8]) -> UInt8? {
    let length = magic.count + 1
    guard bytes.count >= length + 4, bytes.starts(with: magic) else { return nil }
    return checksum(bytes[..<length]) == bytes.littleEndian(at: length) ? bytes[magic.count] : nil
  }

  /// How many bytes a record takes in the file.
  static func length(key: String, contentBytes: Int) -> Int { overhead + key.utf8.count + contentBytes }

  static func write(_ kind: Kind, _ key: String, _ content: [UInt8], into bytes: inout [UInt8]) {
    let start = bytes.count
    let keyBytes = key.utf8.count
    precondition(keyBytes <= maxKeyBytes && content.count <= Int(UInt32.max), "the caller checks the lengths")
    bytes.append(kind.rawValue)
    bytes.append(UInt8(truncatingIfNeeded: keyBytes))
    bytes.append(UInt8(truncatingIfNeeded: keyBytes >> 8))
    bytes.append(littleEndian: UInt32(content.count))
    bytes.append(littleEndian: checksum(bytes[start...]))
    let body = bytes.count
    bytes.append(contentsOf: key.utf8)
    bytes.append(contentsOf: content)
    bytes.append(littleEndian: checksum(bytes[body...]))
  }

  /// Reads the record at `offset`, which is inside `bytes`.
  static func read(_ bytes: [UInt8], at offset: Int) -> Reading {
    let rest = bytes.count - offset
    guard rest >= headLength else { return .tornTail }
    let body = offset + headLength
    guard checksum(bytes[offset..<body - 4]) == bytes.littleEndian(at: body - 4) else {
      // Some file systems make a file longer before its contents arrive; what is missing then reads as zeros.
      return bytes[offset...].allSatisfy { $0 == 0 } ? .tornTail : .damaged
    }
    let keyBytes = Int(bytes[offset + 1]) | Int(bytes[offset + 2]) << 8
    let length = overhead + keyBytes + Int(bytes.littleEndian(at: offset + 3))
    guard rest >= length else { return .tornTail }
    let end = offset + length - 4
    guard checksum(bytes[body..<end]) == bytes.littleEndian(at: end), let kind = Kind(rawValue: bytes[offset]),
      let key = String(validating: bytes[body..<body + keyBytes], as: UTF8.self)
    else { return .damaged }
    return .record(OutboxRecord(kind: kind, key: key, content: Array(bytes[body + keyBytes..<end])), length: length)
  }

  private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    unsafe bytes.withUnsafeBytes { buffer in
      // SAFETY: the pointer and the count are one buffer's; zlib reads nothing else.
      UInt32(
        truncatingIfNeeded: unsafe crc32_z(0, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), buffer.count))
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(littleEndian value: UInt32) {
    for shift in stride(from: 0, to: 32, by: 8) { append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
  }

  /// The four bytes from `index`, which must be there.
  fileprivate func littleEndian(at index: Int) -> UInt32 {
    UInt32(self[index]) | UInt32(self[index + 1]) << 8 | UInt32(self[index + 2]) << 16 | UInt32(self[index + 3]) << 24
  }
}
