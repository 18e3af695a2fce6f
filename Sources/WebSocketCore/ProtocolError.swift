/// How the peer broke the framing rules; each case carries what was seen and maps to the close code it deserves.
public enum ProtocolError: Error, Hashable, Sendable {
  /// Reserved bits no negotiated extension gave a meaning to; `bits` as they stand in the first byte.
  case reservedBits(bits: UInt8)
  case unknownOpcode(UInt8)
  /// A client sent a frame without a mask.
  case maskMissing
  /// A server sent a masked frame.
  case maskUnexpected
  case fragmentedControlFrame(Opcode)
  case controlFrameTooLong(Opcode, length: UInt64)
  /// The length would have fitted a shorter form.
  case lengthNotMinimal(length: UInt64)
  case lengthTopBitSet
  case frameTooLong(length: UInt64, limit: Int)
  /// `length` is what the message would be with the frame whose header was just read.
  case messageTooLong(length: UInt64, limit: Int)
  case continuationWithoutMessage
  case messageInterrupted(by: Opcode)
  case textNotUTF8
  case closeReasonNotUTF8
  case closePayloadOfOneByte
  case closeCodeNotAllowed(UInt16)
  /// What a compressed message holds is no deflate data.
  case compressedDataInvalid
  /// A compressed message ends within a block of its deflate data.
  case compressedDataTruncated
  /// A message inflates to more than `limit` bytes.
  case inflatedTooLong(limit: Int)
  /// A message inflates to more than `limit` times its compressed bytes.
  case inflationRatioExceeded(limit: Int)

  /// The code of the Close frame that answers this error (RFC 6455 §7.4.1).
  public var closeCode: CloseCode {
    switch self {
    case .frameTooLong, .messageTooLong, .inflatedTooLong, .inflationRatioExceeded: .messageTooBig
    case .textNotUTF8, .closeReasonNotUTF8, .compressedDataInvalid, .compressedDataTruncated: .invalidPayload
    case .reservedBits, .unknownOpcode, .maskMissing, .maskUnexpected, .fragmentedControlFrame, .controlFrameTooLong,
      .lengthNotMinimal, .lengthTopBitSet, .continuationWithoutMessage, .messageInterrupted, .closePayloadOfOneByte,
      .closeCodeNotAllowed:
      .protocolError
    }
  }

  /// The clause of `specification` that was broken.
  public var clause: String {
    switch self {
    case .maskMissing, .maskUnexpected: "5.1"
    case .reservedBits, .unknownOpcode, .lengthNotMinimal, .lengthTopBitSet: "5.2"
    case .continuationWithoutMessage, .messageInterrupted: "5.4"
    case .fragmentedControlFrame, .controlFrameTooLong: "5.5"
    case .closePayloadOfOneByte: "5.5.1"
    case .closeCodeNotAllowed: "7.4"
    case .textNotUTF8, .closeReasonNotUTF8: "8.1"
    case .frameTooLong, .messageTooLong: "10.4"
    case .compressedDataInvalid, .compressedDataTruncated: "7.2.2"
    case .inflatedTooLong, .inflationRatioExceeded: "8"
    }
  }

  /// "RFC 6455", or "RFC 7692" for what compression adds.
  public var specification: String {
    switch self {
    case .compressedDataInvalid, .compressedDataTruncated, .inflatedTooLong, .inflationRatioExceeded: "RFC 7692"
    default: "RFC 6455"
    }
  }

  /// What was wrong in at most 123 bytes, so that it fits the Close frame.
  public var summary: String {
    switch self {
    case .reservedBits(let bits): "reserved bits 0x\(String(bits, radix: 16)) are set"
    case .unknownOpcode(let opcode): "opcode 0x\(String(opcode, radix: 16)) is not defined"
    case .maskMissing: "a client's frame must be masked"
    case .maskUnexpected: "a server's frame must not be masked"
    case .fragmentedControlFrame(let opcode): "\(opcode) frame is fragmented"
    case .controlFrameTooLong(let opcode, let length): "\(opcode) frame of \(length) bytes exceeds 125"
    case .lengthNotMinimal(let length): "length \(length) is not in its shortest form"
    case .lengthTopBitSet: "the top bit of the length is set"
    case .frameTooLong(let length, let limit): "frame of \(length) bytes exceeds maxFrameBytes \(limit)"
    case .messageTooLong(let length, let limit): "message of \(length) bytes exceeds maxMessageBytes \(limit)"
    case .continuationWithoutMessage: "a continuation has no message to continue"
    case .messageInterrupted(let opcode): "\(opcode) frame inside a fragmented message"
    case .textNotUTF8: "text message is not UTF-8"
    case .closeReasonNotUTF8: "close reason is not UTF-8"
    case .closePayloadOfOneByte: "close frame has a payload of one byte"
    case .closeCodeNotAllowed(let code): "close code \(code) is not allowed"
    case .compressedDataInvalid: "compressed message is no valid deflate data"
    case .compressedDataTruncated: "compressed message ends within a deflate block"
    case .inflatedTooLong(let limit): "message inflates to more than maxMessageBytes \(limit)"
    case .inflationRatioExceeded(let limit): "message inflates to more than maxInflationRatio \(limit) times its size"
    }
  }
}

extension ProtocolError: CustomStringConvertible {
  public var description: String { "\(summary) (\(specification) §\(clause), close code \(closeCode))" }
}
