@testable import WebSocketCore

/// Flags: 0 receive as a client, 1 small frames only, 2 permessage-deflate is agreed on.
enum FramesTarget {
  private static let deflate = DeflateAgreement(
    serverNoContextTakeover: false, clientNoContextTakeover: false, serverMaxWindowBits: 15, clientMaxWindowBits: 15)

  static func run(_ input: inout FuzzInput) throws(Finding) {
    let role: Role = input.has(0) ? .client : .server
    let limit = input.has(1) ? 200 : 1 << 20
    let bytes = Array(input.rest)
    let extensions = input.has(2) ? Extensions(deflate: deflate) : .none
    let expected = ReferenceFrames(bytes, receivedBy: role, maxFrameBytes: limit, withDeflate: input.has(2))
    for reads in [[bytes], input.cut(bytes)] {
      let (frames, fault) = try decode(reads, as: role, extensions, limit)
      try require(frames == expected.frames, "frames differ:\n  \(frames)\n  \(expected.frames)")
      try require(fault == expected.fault, "faults differ: \(fault ?? 0), \(expected.fault ?? 0)")
    }
  }

  private static func decode(
    _ reads: [[UInt8]], as role: Role, _ extensions: Extensions, _ limit: Int
  ) throws(Finding) -> (frames: [ReferenceFrames.Frame], fault: UInt16?) {
    var decoder = FrameDecoder(role: role, extensions: extensions, maxFrameBytes: limit)
    var frames: [ReferenceFrames.Frame] = []
    for read in reads {
      var read = read
      var span = read.mutableSpan
      var raw = span.mutableBytes
      var offset = 0
      while true {
        let piece: FramePiece?
        do throws(ProtocolError) {
          piece = try decoder.next(in: &raw, from: &offset)
        } catch {
          return (frames, error.closeCode.rawValue)
        }
        guard let piece else { break }
        let header = piece.header
        if piece.isFirst {
          frames.append(
            .init(
              isFinal: header.isFinal, isCompressed: header.reservedBits == 0x40, opcode: header.opcode.rawValue,
              length: header.payloadBytes, payload: []))
        }
        try require(
          piece.payload.lowerBound >= 0 && piece.payload.upperBound <= offset && offset <= raw.byteCount,
          "a piece outside the read")
        try require(piece.position == frames.last?.payload.count, "a piece in the wrong place")
        frames[frames.count - 1].payload += piece.payload.map { raw.bytes.byte(at: $0) }
        try require(piece.isLast == frames.last?.isComplete, "a frame ends where it does not")
      }
      try require(offset == raw.byteCount, "bytes are left unused")
    }
    try require(decoder.isBetweenFrames || !reads.isEmpty, "a frame out of nothing")
    return (frames, nil)
  }
}
