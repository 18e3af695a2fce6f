import WebSocketCore

/// RFC 6455 §5.2 once more, written for reading: slow, on whole bytes, and independent of the code under test.
struct ReferenceFrames {
  struct Frame: Equatable {
    var isFinal: Bool
    /// RSV1, where permessage-deflate gives it a meaning.
    var isCompressed = false
    var opcode: UInt8
    /// What the header says; `payload` may be shorter at the end of the bytes.
    var length: Int
    var payload: [UInt8]

    var isComplete: Bool { payload.count == length }
    var isControl: Bool { opcode >= 8 }
  }

  private(set) var frames: [Frame] = []
  /// Where the frames' payloads start in the bytes.
  private(set) var payloadStarts: [Int] = []
  /// The close code that the fault behind the last frame deserves; `nil` if there is none.
  private(set) var fault: UInt16?

  /// Reads `bytes` as their receiver; `withDeflate` says that permessage-deflate was agreed on. RSV1 on a continuation is
  /// left to who knows messages.
  init(_ bytes: [UInt8], receivedBy role: Role, maxFrameBytes: Int, withDeflate: Bool = false) {
    var left = bytes[...]
    while left.count >= 2, frames.last?.isComplete ?? true {
      let (first, second) = (left[left.startIndex], left[left.startIndex + 1])
      let opcode = first & 0x0F
      let isMasked = second >= 0x80
      let mark = Int(second % 128)
      let allowedBits: UInt8 = withDeflate && opcode < 8 ? 0x40 : 0
      guard first & 0x70 & ~allowedBits == 0, [0, 1, 2, 8, 9, 10].contains(opcode), isMasked == (role == .server),
        opcode < 8 || (mark < 126 && first >= 0x80)
      else {
        fault = 1002
        return
      }
      let lengthBytes = mark == 127 ? 8 : mark == 126 ? 2 : 0
      guard left.count >= 2 + lengthBytes + (isMasked ? 4 : 0) else { return }
      left = left.dropFirst(2)
      var length = UInt64(mark)
      if lengthBytes > 0 {
        length = left.prefix(lengthBytes).reduce(0) { $0 * 256 + UInt64($1) }
        left = left.dropFirst(lengthBytes)
        guard length >= (lengthBytes == 2 ? 126 : 65_536), length <= UInt64(Int64.max) else {
          fault = 1002
          return
        }
      }
      guard length <= UInt64(maxFrameBytes) else {
        fault = 1009
        return
      }
      let key = isMasked ? Array(left.prefix(4)) : [0, 0, 0, 0]
      if isMasked { left = left.dropFirst(4) }
      let payload = left.prefix(Int(length)).enumerated().map { $1 ^ key[$0 % 4] }
      payloadStarts.append(left.startIndex)
      left = left.dropFirst(payload.count)
      frames.append(
        Frame(
          isFinal: first >= 0x80, isCompressed: first & 0x40 != 0, opcode: opcode, length: Int(length), payload: payload
        ))
    }
  }
}
