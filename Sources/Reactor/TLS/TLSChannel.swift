import COpenSSL

/// Where a session's ciphertext comes from and goes to: what was received lies in the loop's buffer for the length of one
/// call, and what is to be sent goes straight into a buffer of the loop's pool. An idle connection holds neither.
@safe
struct TLSChannel {
  /// Received and not yet consumed by the session.
  var input: UnsafeRawBufferPointer.SubSequence?
  /// Lent before OpenSSL is called, given back when it is empty.
  var output: OutputPool.Lease?

  var hasNoInput: Bool { unsafe input?.isEmpty ?? true }

  /// OpenSSL's view of it (`bio(7)`): reads consume the input, writes append to the output and always succeed.
  static let method: Method = {
    // SAFETY: made once and kept for ever; the callbacks have the types that OpenSSL asks for.
    guard let method = unsafe BIO_meth_new(Int32(BIO_get_new_index()) | BIO_TYPE_SOURCE_SINK, "lifeline") else {
      preconditionFailure("OpenSSL cannot make a BIO method: out of memory")
    }
    unsafe BIO_meth_set_read(method) { bio, target, count in
      guard let bio = unsafe bio, let target = unsafe target else { return 0 }
      unsafe lifeline_bio_clear_retry(bio)
      // SAFETY: the data is the channel of the session that owns this BIO.
      let channel = unsafe BIO_get_data(bio).assumingMemoryBound(to: TLSChannel.self)
      guard let input = unsafe channel.pointee.input, let source = unsafe input.baseAddressOfRest else {
        unsafe lifeline_bio_wants_input(bio)
        return -1
      }
      let taken = unsafe min(Int(count), input.count)
      // SAFETY: `taken` bytes are there on both sides.
      unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: taken)
      unsafe channel.pointee.input = input.dropFirst(taken)
      return Int32(truncatingIfNeeded: taken)
    }
    unsafe BIO_meth_set_write(method) { bio, source, count in
      guard let bio = unsafe bio, let source = unsafe source else { return 0 }
      // SAFETY: as above; OpenSSL lends `count` bytes.
      let channel = unsafe BIO_get_data(bio).assumingMemoryBound(to: TLSChannel.self)
      unsafe channel.pointee.append(UnsafeRawBufferPointer(start: source, count: Int(count)))
      return count
    }
    unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return unsafe Method(pointer: method)
  }()

  @safe struct Method: @unchecked Sendable {
    // SAFETY: nobody changes it after it was made.
    let pointer: OpaquePointer
  }

  private func append(_ bytes: UnsafeRawBufferPointer) {
    // SAFETY: OpenSSL's bytes are initialized; a lease is there whenever OpenSSL is called.
    unsafe output?.append(RawSpan(_unsafeBytes: bytes), RawSpan())
  }
}

extension UnsafeRawBufferPointer.SubSequence {
  /// `nil` when nothing is left.
  fileprivate var baseAddressOfRest: UnsafeRawPointer? {
    // SAFETY: the rest lies within its base.
    guard unsafe !isEmpty, let start = unsafe base.baseAddress else { return nil }
    return unsafe start + startIndex
  }
}
