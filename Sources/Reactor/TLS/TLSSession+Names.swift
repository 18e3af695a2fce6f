import COpenSSL

extension TLSSession {
  /// The names and addresses that a certificate is for (RFC 5280 §4.2.1.6).
  static func names(of certificate: OpaquePointer?) -> [String] {
    guard let certificate = unsafe certificate,
      let found = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil)
    else { return [] }
    let names = OpaquePointer(found)
    // SAFETY: `names` is ours, and freed here with all that lies in it.
    defer { unsafe GENERAL_NAMES_free(names) }
    var texts: [String] = []
    let count = unsafe lifeline_sk_general_name_count(names)
    for index in 0..<max(0, count) {
      guard let name = unsafe lifeline_sk_general_name(names, index) else { continue }
      var kind: Int32 = 0
      guard let value = unsafe GENERAL_NAME_get0_value(name, &kind) else { continue }
      switch kind {
      case GEN_DNS:
        let string = unsafe value.assumingMemoryBound(to: ASN1_STRING.self)
        texts.append(unsafe text(of: string))
      case GEN_IPADD:
        let string = unsafe value.assumingMemoryBound(to: ASN1_STRING.self)
        texts.append(unsafe address(of: string))
      default: continue
      }
    }
    return texts
  }

  /// `CN = name, O = organisation`, as RFC 2253 orders nothing.
  static func subject(of certificate: OpaquePointer?) -> String? {
    guard let certificate = unsafe certificate, let name = unsafe X509_get_subject_name(certificate),
      let bio = unsafe BIO_new(BIO_s_mem())
    else { return nil }
    // SAFETY: the BIO is ours, and its bytes are copied before it is freed.
    defer { unsafe BIO_free(bio) }
    unsafe X509_NAME_print_ex(bio, name, 0, lifeline_name_flags())
    var bytes = [UInt8](repeating: 0, count: min(unsafe lifeline_bio_pending(bio), 1_024))
    let count = unsafe BIO_read(bio, &bytes, Int32(bytes.count))
    return String(decoding: bytes.prefix(Int(max(0, count))), as: UTF8.self)
  }

  private static func bytes(of string: UnsafePointer<ASN1_STRING>) -> UnsafeBufferPointer<UInt8> {
    // SAFETY: OpenSSL says how many bytes its string has.
    unsafe UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
  }

  private static func text(of string: UnsafePointer<ASN1_STRING>) -> String {
    unsafe String(decoding: bytes(of: string), as: UTF8.self)
  }

  private static func address(of string: UnsafePointer<ASN1_STRING>) -> String {
    let bytes = unsafe Array(bytes(of: string))
    if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
    return stride(from: 0, to: bytes.count - 1, by: 2)
      .map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }.joined(separator: ":")
  }
}
