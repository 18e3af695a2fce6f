/// An input as every target reads it: a byte of flags, the sizes of reads behind their count, and the rest.
struct FuzzInput {
  let flags: UInt8
  /// The sizes of reads, at least 1, to be used over and over; none means byte by byte.
  let sizes: [Int]
  /// What is left.
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) {
    rest = bytes[...]
    flags = rest.popFirst() ?? 0
    let count = Int(rest.popFirst() ?? 0) % 16
    sizes = rest.prefix(count).map { max(1, Int($0)) }
    rest = rest.dropFirst(count)
  }

  /// The input that is read as these parts.
  static func bytes(flags: UInt8 = 0, sizes: [UInt8] = [], _ rest: [UInt8]) -> [UInt8] {
    precondition(sizes.count < 16, "the count must survive")
    return [flags, UInt8(sizes.count)] + sizes + rest
  }

  /// Whether a flag is set; `bit` is 0 to 7.
  func has(_ bit: Int) -> Bool { flags >> bit & 1 == 1 }

  mutating func next() -> UInt8? { rest.popFirst() }

  mutating func take(_ count: Int) -> [UInt8] {
    let part = Array(rest.prefix(count))
    rest = rest.dropFirst(count)
    return part
  }

  /// The bytes as the reads that the input chose.
  func cut(_ bytes: [UInt8]) -> [[UInt8]] {
    var parts: [[UInt8]] = []
    var left = bytes[...]
    while !left.isEmpty {
      let size = sizes.isEmpty ? 1 : sizes[parts.count % sizes.count]
      parts.append(Array(left.prefix(size)))
      left = left.dropFirst(size)
    }
    return parts
  }
}
