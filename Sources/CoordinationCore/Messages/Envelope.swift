import CZlib
import Cryptography

/// The session mode's envelope: a body's closing brace gives way to `"seq"`, `"ack"` and last of all `"crc"`, the CRC-32
/// of every byte before it. A body is encoded once and sealed each time that it is sent, so a replayed message carries
/// the newest acknowledgement. The checksum finds bytes that changed on the way; it does not keep out a forger. Where both
/// ends have a key, `"mac"` stands in its place, the code of a `MessageAuthenticator` in base64url.
public enum Envelope {
  /// Names that belong to the envelope; a member of a message's own that is called so is left out.
  static func isReserved(_ name: String) -> Bool {
    switch name {
    case "type", "seq", "ack", "crc", "mac": true
    default: false
    }
  }

  private static let checksumPrefix = Array(",\"crc\":\"".utf8)
  /// `,"crc":"01234567"}`
  private static let checksumLength = 7 + 1 + 8 + 2

  private static let codePrefix = Array(",\"mac\":\"".utf8)
  /// `,"mac":"…43 digits…"}`
  private static let codeLength = 8 + MessageAuthenticator.codeLength + 2

  /// Wraps `body`, the text of a JSON object with at least one member.
  public static func seal(_ body: [UInt8], sequence: UInt64?, acknowledgement: UInt64) -> [UInt8] {
    seal(body, sequence: sequence, acknowledgement: acknowledgement, nil)
  }

  /// - Parameter authenticator: of the connection that the message leaves on, as the next one.
  static func seal(
    _ body: [UInt8], sequence: UInt64?, acknowledgement: UInt64, _ authenticator: MessageAuthenticator?
  ) -> [UInt8] {
    precondition(body.count > 2 && body[body.count - 1] == UInt8(ascii: "}"), "a body is a JSON object with members")
    var bytes: [UInt8] = []
    bytes.reserveCapacity(body.count + 112)
    bytes.append(contentsOf: body.dropLast())
    if let sequence {
      bytes.append(contentsOf: ",\"seq\":".utf8)
      JSONValue.write(Int64(clamping: sequence), into: &bytes)
    }
    if acknowledgement > 0 {
      bytes.append(contentsOf: ",\"ack\":".utf8)
      JSONValue.write(Int64(clamping: acknowledgement), into: &bytes)
    }
    if let authenticator {
      let code = authenticator.sign(bytes)
      bytes.append(contentsOf: codePrefix)
      Base64Digits.append(code, to: &bytes)
    } else {
      let sum = checksum(bytes, count: bytes.count)
      bytes.append(contentsOf: checksumPrefix)
      appendHex(sum, to: &bytes)
    }
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }

  /// The message in a text that a peer sent.
  ///
  /// - Parameter mode: in session mode the checksum is required and verified before anything else is looked at.
  public static func open(_ bytes: [UInt8], mode: ConnectionMode) throws(MessageError) -> Message {
    try open(bytes, mode: mode, nil)
  }

  /// - Parameter authenticator: of the connection that the message came over, if both ends have a key; the code is then
  ///   required in place of the checksum.
  static func open(
    _ bytes: [UInt8], mode: ConnectionMode, _ authenticator: MessageAuthenticator?
  ) throws(MessageError) -> Message {
    if mode == .session {
      if let authenticator { try verify(bytes, authenticator) } else { try verify(bytes) }
    }
    let value: JSONValue
    do { value = try JSONParser.parse(bytes, validated: true) } catch { throw .notJSON(error) }
    guard let object = value.object else { throw .notAnObject(found: value.typeName) }
    var fields = JSONObject()
    fields.reserveCapacity(object.count)
    var kind: MessageKind?
    var sequence: UInt64?
    var acknowledgement: UInt64?
    for (key, value) in object.members {
      switch key {
      case "type":
        guard let name = value.string else { throw .wrongType("type", expected: "a string", found: value.typeName) }
        guard name.utf8.count <= 64 else { throw .badValue("type", problem: "longer than 64 bytes") }
        kind = MessageKind(name)
      case "seq" where mode == .session: sequence = try number(value, "seq")
      case "ack" where mode == .session: acknowledgement = try number(value, "ack")
      case "crc" where mode == .session, "mac" where mode == .session: break
      default: fields.append(key, value)
      }
    }
    guard let kind else { throw .missingField("type") }
    return Message(kind, fields, sequence: sequence, acknowledgement: acknowledgement)
  }

  private static func number(_ value: JSONValue, _ name: String) throws(MessageError) -> UInt64 {
    guard let integer = value.integer, integer > 0 else {
      throw .wrongType(name, expected: "a positive integer", found: value.typeName)
    }
    return UInt64(integer)
  }

  private static func verify(_ bytes: [UInt8]) throws(MessageError) {
    let covered = bytes.count - checksumLength
    guard covered > 0, bytes[covered..<covered + checksumPrefix.count].elementsEqual(checksumPrefix) else {
      throw .missingField("crc")
    }
    let start = covered + checksumPrefix.count
    let sum = checksum(bytes, count: covered)
    for position in 0..<8 where bytes[start + position] != hexDigit(position, of: sum) { throw .badChecksum }
  }

  private static func verify(_ bytes: [UInt8], _ authenticator: MessageAuthenticator) throws(MessageError) {
    let covered = bytes.count - codeLength
    guard covered > 0, bytes[covered..<covered + codePrefix.count].elementsEqual(codePrefix),
      let code = Base64Digits.digest(bytes, at: covered + codePrefix.count)
    else { throw .missingField("mac") }
    guard authenticator.verify(bytes, count: covered, code) else { throw .badCode }
  }

  private static func checksum(_ bytes: [UInt8], count: Int) -> UInt32 {
    unsafe bytes.withUnsafeBufferPointer { buffer in
      // SAFETY: `count` never exceeds the buffer's own, and crc32 only reads.
      unsafe UInt32(truncatingIfNeeded: crc32(0, buffer.baseAddress, UInt32(clamping: count)))
    }
  }

  private static func appendHex(_ value: UInt32, to bytes: inout [UInt8]) {
    for position in 0..<8 { bytes.append(hexDigit(position, of: value)) }
  }

  /// The digit at `position`, from 0 for the most significant to 7.
  private static func hexDigit(_ position: Int, of value: UInt32) -> UInt8 {
    let digit = UInt8(truncatingIfNeeded: value >> UInt32(28 - 4 * position)) & 0xF
    return digit < 10 ? digit + UInt8(ascii: "0") : digit - 10 + UInt8(ascii: "a")
  }
}
