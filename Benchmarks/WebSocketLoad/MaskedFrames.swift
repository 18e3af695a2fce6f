import Primitives

/// A client's frames, built once and written again and again (RFC 6455 §5.2).
///
/// One round of `depth` frames stands twice in a row, so that from any of them on up to `depth` consecutive frames are
/// one range of bytes and leave in one write. The masking key differs from frame to frame.
public struct MaskedFrames: Sendable {
  public let bytes: [UInt8]
  /// Where each of the `2 × depth` frames begins, and where the last ends.
  public let offsets: [Int]

  /// - Parameter isCompressed: sets RSV1 (RFC 7692 §6).
  public init(_ payloads: [[UInt8]], kind: LoadPayload.Kind, isCompressed: Bool) {
    var random = SeededGenerator(seed: 0x3A5C)
    var bytes: [UInt8] = []
    var offsets = [0]
    let frames = payloads.map { payload in
      Self.frame(
        opcode: kind == .text ? 1 : 2, payload, isCompressed: isCompressed,
        key: UInt32(truncatingIfNeeded: random.next()))
    }
    for frame in frames + frames {
      bytes += frame
      offsets.append(bytes.count)
    }
    self.bytes = bytes
    self.offsets = offsets
  }

  /// One final frame, masked.
  public static func frame(opcode: UInt8, _ payload: [UInt8], isCompressed: Bool = false, key: UInt32) -> [UInt8] {
    var frame: [UInt8] = [0x80 | (isCompressed ? 0x40 : 0) | opcode]
    switch payload.count {
    case ..<126: frame.append(0x80 | UInt8(payload.count))
    case ..<65_536: frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default:
      frame.append(0x80 | 127)
      for shift in stride(from: 56, through: 0, by: -8) {
        frame.append(UInt8(truncatingIfNeeded: payload.count >> shift))
      }
    }
    let octets = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: key >> $0) }
    frame += octets
    for (index, byte) in payload.enumerated() { frame.append(byte ^ octets[index % 4]) }
    return frame
  }
}
