/// The first record that a client sends, kept until it is whole.
///
/// OpenSSL takes some 40 KiB as soon as it is given the first byte of a handshake. So many for each of ten thousand clients
/// that send a byte now and then would be a lot; what they have sent is a few hundred bytes at most.
struct FirstRecord {
  enum Step: Equatable {
    case needsMore
    /// It is whole, or no TLS at all: OpenSSL is to see these bytes, and all that follow as they come.
    case whole([UInt8])
    case tooLong(bytes: Int)
  }

  /// More than any client needs, with large keys and a ticket with a certificate in it.
  static let maxBytes = 8 * 1024
  private static let headerBytes = 5
  /// RFC 8446 §5.1.
  private static let handshake: UInt8 = 22

  private var bytes: [UInt8] = []

  mutating func take(_ part: some Collection<UInt8>) -> Step {
    bytes.append(contentsOf: part)
    guard let kind = bytes.first else { return .needsMore }
    guard kind == Self.handshake else { return .whole(bytes) }
    guard bytes.count >= Self.headerBytes else { return .needsMore }
    let length = Int(bytes[3]) << 8 | Int(bytes[4])
    guard length <= Self.maxBytes else { return .tooLong(bytes: length) }
    return bytes.count >= Self.headerBytes + length ? .whole(bytes) : .needsMore
  }
}
