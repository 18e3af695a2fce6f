import Primitives
import WebSocketCore

private let sizes: [(name: String, bytes: Int)] = [("20 B", 20), ("1 KiB", 1_024), ("64 KiB", 65_536)]

/// About as much as one read takes from a socket.
private let readBytes = 128 << 10

let frameBenchmarks: [Benchmark] =
  sizes.map { size in
    Benchmark("frame decode, masked, \(size.name)", operations: operations(size.bytes), payloadBytes: size.bytes) {
      operations, meter in
      try decodeFrames(operations, payloadBytes: size.bytes, meter)
    }
  }
  + sizes.map { size in
    Benchmark("frame encode, server, \(size.name)", operations: operations(size.bytes), payloadBytes: size.bytes) {
      operations, meter in
      encodeFrames(operations, payloadBytes: size.bytes, .server, meter)
    }
  }
  + sizes.map { size in
    Benchmark("frame encode, client, \(size.name)", operations: operations(size.bytes), payloadBytes: size.bytes) {
      operations, meter in
      encodeFrames(operations, payloadBytes: size.bytes, .client(keys: SeededGenerator(seed: 3)), meter)
    }
  }
  + sizes.map { size in
    Benchmark("unmask, \(size.name)", operations: operations(size.bytes), payloadBytes: size.bytes) {
      operations, meter in
      var bytes = payload(size.bytes)
      let key = MaskingKey(0x12, 0x34, 0x56, 0x78)
      meter.start()
      unmask(&bytes, key, times: operations)
      meter.stop()
      return checksum(bytes)
    }
  }

private func operations(_ bytes: Int) -> Int { min(4_000_000, 2_000_000_000 / (bytes + 1) / 4 * 2) }

private func payload(_ count: Int) -> [UInt8] {
  var random = SeededGenerator(seed: 2)
  return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

private func checksum(_ bytes: [UInt8]) -> UInt64 {
  var sum = Checksum()
  for byte in bytes { sum.add(Int(byte)) }
  return sum.value
}

/// Decodes what a client sent, again and again from the same bytes: masked afresh by each pass, which changes no header.
private func decodeFrames(_ operations: Int, payloadBytes: Int, _ meter: Meter) throws -> UInt64 {
  let encoder = FrameEncoder.client(keys: SeededGenerator(seed: 3))
  let content = payload(payloadBytes)
  var bytes: [UInt8] = []
  var frames = 0
  repeat {
    encoder.append(.binary, payload: content.span.bytes, to: &bytes)
    frames += 1
  } while bytes.count + payloadBytes + FrameHeader.maxBytes <= readBytes && frames < operations
  var decoder = FrameDecoder(role: .server, maxFrameBytes: 1 << 20)
  // What the runtime sets up once is no frame's cost.
  _ = try decodePass(&bytes, &decoder)
  var decoded = 0
  var sum = 0
  meter.start()
  while decoded < operations {
    let pass = try decodePass(&bytes, &decoder)
    decoded += pass.frames
    sum &+= pass.sum
  }
  meter.stop()
  var result = Checksum()
  result.add(decoded)
  result.add(sum)
  return result.value
}

private func decodePass(_ bytes: inout [UInt8], _ decoder: inout FrameDecoder) throws -> (frames: Int, sum: Int) {
  var span = bytes.mutableSpan
  var raw = span.mutableBytes
  var offset = 0
  var frames = 0
  var sum = 0
  while let piece = try decoder.next(in: &raw, from: &offset) {
    frames += 1
    sum &+= piece.payload.upperBound
  }
  return (frames, sum)
}

private func encodeFrames(_ operations: Int, payloadBytes: Int, _ start: FrameEncoder, _ meter: Meter) -> UInt64 {
  let encoder = start
  let content = payload(payloadBytes)
  var output: [UInt8] = []
  output.reserveCapacity(readBytes + payloadBytes + FrameHeader.maxBytes)
  var sum = 0
  meter.start()
  for _ in 0..<operations {
    if output.count >= readBytes { output.removeAll(keepingCapacity: true) }
    encoder.append(.binary, payload: content.span.bytes, to: &output)
    sum &+= output.count
  }
  meter.stop()
  var result = Checksum()
  result.add(sum)
  result.add(Int(output.last ?? 0))
  return result.value
}

private func unmask(_ bytes: inout [UInt8], _ key: MaskingKey, times: Int) {
  var span = bytes.mutableSpan
  var raw = span.mutableBytes
  let count = raw.byteCount
  for _ in 0..<times { key.apply(to: &raw, in: 0..<count, position: 0) }
}
