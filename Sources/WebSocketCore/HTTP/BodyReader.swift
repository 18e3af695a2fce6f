/// Collects the body of one request within a limit.
struct BodyReader: Sendable {
  private enum Rest {
    case bytes(Int)
    case chunks(ChunkedReader)
  }

  private var rest: Rest
  private let limit: Int
  private(set) var bytes: [UInt8] = []

  /// `nil` for a request without a body.
  init?(_ framing: BodyFraming, limit: Int, maxTrailerBytes: Int) {
    self.limit = limit
    switch framing {
    case .none: return nil
    case .length(let length): rest = .bytes(length)
    case .chunked: rest = .chunks(ChunkedReader(maxTrailerBytes: maxTrailerBytes))
    }
  }

  /// Takes bytes from `offset` on, which moves behind the last one taken; true once the body is complete.
  mutating func take(_ source: RawSpan, from offset: inout Int) throws(HandshakeError) -> Bool {
    switch rest {
    case .bytes(let missing):
      let count = min(missing, source.byteCount - offset)
      bytes.append(contentsOf: source.extracting(offset..<(offset + count)))
      offset += count
      rest = .bytes(missing - count)
      return missing == count
    case .chunks(var reader):
      defer { rest = .chunks(reader) }
      while let range = try reader.next(in: source, from: &offset) {
        guard bytes.count + range.count <= limit else { throw .bodyTooLong(limit: limit) }
        bytes.append(contentsOf: source.extracting(range))
      }
      return reader.isComplete
    }
  }
}
