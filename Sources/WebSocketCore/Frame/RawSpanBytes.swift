extension RawSpan {
  /// The byte at `offset`, which must be below `byteCount`.
  func byte(at offset: Int) -> UInt8 {
    // SAFETY: the load is checked against the bounds, and any bit pattern is a UInt8.
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }
}

extension RawSpan {
  /// The integer at `offset`, wherever that is aligned; all of it must lie within.
  @inline(__always)
  func load<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Value {
    // SAFETY: the load is checked against the bounds, and any bit pattern is an integer.
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self)
  }
}

extension [UInt8] {
  mutating func append(contentsOf bytes: RawSpan) {
    // SAFETY: the pointer is used within the closure only.
    unsafe bytes.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }
}
