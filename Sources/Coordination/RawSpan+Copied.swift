extension RawSpan {
  /// The bytes in an array of their own: what a span shows is gone when its callback returns.
  var copied: [UInt8] {
    // SAFETY: every byte up to `count` is initialised below.
    unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      // SAFETY: the buffer has room for `byteCount` bytes, which is what is copied.
      unsafe withUnsafeBytes { source in
        unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(from: source)
        count = source.count
      }
    }
  }
}
