import COpenSSL

/// OpenSSL's stream over memory, for PEM in and out.
@safe
final class MemoryBIO {
  let pointer: OpaquePointer

  init() throws(CertificateError) {
    // SAFETY: freed in deinit.
    guard let bio = unsafe BIO_new(BIO_s_mem()) else { throw .last("BIO_new") }
    unsafe pointer = bio
  }

  convenience init(_ text: String) throws(CertificateError) {
    try self.init()
    let bytes = Array(text.utf8)
    // SAFETY: reads the array's bytes during the call.
    guard unsafe bytes.isEmpty || BIO_write(pointer, bytes, Int32(clamping: bytes.count)) == bytes.count else {
      throw .last("BIO_write")
    }
  }

  deinit {
    // SAFETY: made in init, used by nobody any more.
    unsafe BIO_free(pointer)
  }

  /// All that was written to it and not read yet.
  var text: String {
    // SAFETY: both calls only look at the BIO; no more is written than the array has.
    var bytes = [UInt8](repeating: 0, count: unsafe BIO_ctrl_pending(pointer))
    let count = unsafe BIO_read(pointer, &bytes, Int32(clamping: bytes.count))
    return String(decoding: bytes.prefix(max(0, Int(count))), as: UTF8.self)
  }
}
