public import Authentication
import CZlib
import Cryptography

/// A piece of a file with words about it, in one binary WebSocket message:
///
///     length of the words, 4 bytes, most significant first │ words: a JSON object │ the piece │ CRC-32, 4 bytes
///
/// Binary, because base64 would cost a third more on the line and a pass over every byte at both ends. The checksum finds
/// bytes that changed on the way before they are written anywhere; where both ends have a key, a code of 32 bytes stands
/// in its place, counted apart from those of the text messages.
public final class FileFrames {
  /// A message of words about a file, with the piece that it is about.
  public struct Frame: Equatable, Sendable {
    public var words: JSONObject
    public var piece: [UInt8]

    public init(_ words: JSONObject, _ piece: [UInt8] = []) {
      self.words = words
      self.piece = piece
    }
  }

  public enum End: Sendable { case coordinator, worker }

  static let maxWordBytes = 64 << 10
  private static let lengthBytes = 4
  private static let checksumBytes = 4

  private let authenticator: MessageAuthenticator?

  /// - Parameter security: what the connection proved; clients and workers without keys prove nothing.
  public convenience init(_ security: LinkSecurity, _ end: End) { self.init(security.channel, end) }

  public init(_ secret: ChannelSecret?, _ end: End) {
    authenticator = secret.map { MessageAuthenticator($0, end == .worker ? .worker : .coordinator, about: " files") }
  }

  /// The bytes of a message; to be sent in the order of the calls.
  public func seal(_ frame: Frame) -> [UInt8] {
    var words: [UInt8] = []
    frame.words.write(into: &words)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(words.count + frame.piece.count + 64)
    Self.append(UInt32(clamping: words.count), to: &bytes)
    bytes.append(contentsOf: words)
    bytes.append(contentsOf: frame.piece)
    if let authenticator {
      bytes.append(contentsOf: authenticator.sign(bytes).bytes)
    } else {
      Self.append(Self.checksum(bytes, count: bytes.count), to: &bytes)
    }
    return bytes
  }

  /// Reads a message that a peer sent; in the order in which they came.
  public func open(_ bytes: [UInt8]) throws(MessageError) -> Frame {
    let trailer = authenticator == nil ? Self.checksumBytes : SHA256Digest.byteCount
    let covered = bytes.count - trailer
    guard covered >= Self.lengthBytes else { throw .badValue("frame", problem: "\(bytes.count) bytes are too few") }
    if let authenticator {
      guard let code = SHA256Digest(Array(bytes[covered...])), authenticator.verify(bytes, count: covered, code) else {
        throw .badCode
      }
    } else {
      guard Self.number(bytes, at: covered) == Self.checksum(bytes, count: covered) else { throw .badChecksum }
    }
    let length = Int(Self.number(bytes, at: 0))
    guard length <= Self.maxWordBytes, length <= covered - Self.lengthBytes else {
      throw .badValue("frame", problem: "its words cannot have \(length) bytes")
    }
    let end = Self.lengthBytes + length
    let words: JSONValue
    do { words = try JSONParser.parse(Array(bytes[Self.lengthBytes..<end])) } catch { throw .notJSON(error) }
    guard let object = words.object else { throw .notAnObject(found: words.typeName) }
    return Frame(object, Array(bytes[end..<covered]))
  }

  private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
    for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
  }

  private static func number(_ bytes: [UInt8], at index: Int) -> UInt32 {
    (index..<index + 4).reduce(0) { $0 << 8 | UInt32(bytes[$1]) }
  }

  private static func checksum(_ bytes: [UInt8], count: Int) -> UInt32 {
    unsafe bytes.withUnsafeBufferPointer { buffer in
      // SAFETY: `count` never exceeds the buffer's own, and crc32 only reads.
      unsafe UInt32(truncatingIfNeeded: crc32(0, buffer.baseAddress, UInt32(clamping: count)))
    }
  }
}

@available(*, unavailable) extension FileFrames: Sendable {}
