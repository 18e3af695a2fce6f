import COpenSSL
import Primitives

/// An X.509 certificate (RFC 5280).
@safe
final class Certificate {
  let pointer: OpaquePointer

  private init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

  deinit {
    // SAFETY: made or read here, and used by nobody any more.
    unsafe X509_free(pointer)
  }

  /// The first certificate in `pem`.
  init(pem: String) throws(CertificateError) {
    let bio = try MemoryBIO(pem)
    // SAFETY: the BIO is alive for the call.
    guard let certificate = unsafe PEM_read_bio_X509(bio.pointer, nil, nil, nil) else {
      ERR_clear_error()
      throw .noCertificate
    }
    unsafe pointer = certificate
  }

  /// Signs a certificate for `key`; an authority that has none above it signs its own.
  static func signed(
    _ profile: CertificateProfile, for key: PrivateKey, by issuer: (certificate: Certificate, key: PrivateKey)?
  ) throws(CertificateError) -> Certificate {
    try profile.check()
    // SAFETY: the certificate is freed by its owner on every way out. OpenSSL copies the texts and names that it is given.
    guard let x509 = unsafe X509_new() else { throw .last("X509_new") }
    let certificate = unsafe Certificate(x509)
    let name = Array(profile.commonName.utf8)
    let subject = unsafe X509_get_subject_name(x509)
    guard unsafe X509_set_version(x509, Int(X509_VERSION_3)) == 1, unsafe X509_set_pubkey(x509, key.pointer) == 1,
      unsafe X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, name, Int32(clamping: name.count), -1, 0) == 1
    else { throw .last("X509_set_subject_name") }
    let above = issuer?.certificate ?? certificate
    guard unsafe X509_set_issuer_name(x509, X509_get_subject_name(above.pointer)) == 1 else {
      throw .last("X509_set_issuer_name")
    }
    try certificate.setSerialNumber()
    try certificate.setValidity(from: profile.notBefore, to: profile.notAfter)
    for (nid, text) in try extensions(of: profile, isSelfSigned: issuer == nil) {
      try certificate.add(nid, text, issuedBy: above)
    }
    guard unsafe X509_sign(x509, (issuer?.key ?? key).pointer, EVP_sha256()) > 0 else { throw .last("X509_sign") }
    return certificate
  }

  var pem: String {
    get throws(CertificateError) {
      let bio = try MemoryBIO()
      // SAFETY: both are alive for the call.
      guard unsafe PEM_write_bio_X509(bio.pointer, pointer) == 1 else { throw .last("PEM_write_bio_X509") }
      return bio.text
    }
  }

  /// Whether `key` is the private half of the certificate's.
  func fits(_ key: PrivateKey) -> Bool {
    // SAFETY: both are alive for the call.
    let fits = unsafe X509_check_private_key(pointer, key.pointer) == 1
    ERR_clear_error()
    return fits
  }

  var isAuthority: Bool {
    // SAFETY: only looked at. 1 is an authority by its extensions; other numbers are guesses about old certificates.
    unsafe X509_check_ca(pointer) == 1
  }

  /// The first second in which it is no longer valid, less one.
  var notAfter: WallTime {
    var (days, seconds) = (Int32(0), Int32(0))
    // SAFETY: the epoch is made and freed here, the other belongs to the certificate; the numbers are locals.
    let epoch = unsafe ASN1_TIME_set(nil, 0)
    defer { unsafe ASN1_STRING_free(epoch) }
    guard unsafe ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(pointer)) == 1 else {
      return WallTime(milliseconds: 0)
    }
    return WallTime(milliseconds: (Int64(days) * 86_400 + Int64(seconds)) * 1_000)
  }

  /// 127 random bits: two authorities of the same name do not clash, and none is guessed (RFC 5280 §4.1.2.2).
  private func setSerialNumber() throws(CertificateError) {
    var bytes = [UInt8](repeating: 0, count: 16)
    // SAFETY: OpenSSL fills the 16 bytes, and copies them into numbers that are freed here.
    guard unsafe RAND_bytes(&bytes, 16) == 1 else { throw .last("RAND_bytes") }
    bytes[0] = bytes[0] & 0x7F | 0x40
    let number = unsafe BN_bin2bn(bytes, 16, nil)
    defer { unsafe BN_free(number) }
    guard unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer)) != nil else {
      throw .last("BN_to_ASN1_INTEGER")
    }
  }

  private func setValidity(from start: WallTime, to end: WallTime) throws(CertificateError) {
    // SAFETY: the times are the certificate's own, set in place.
    guard unsafe ASN1_TIME_set(X509_getm_notBefore(pointer), time_t(start.milliseconds / 1_000)) != nil,
      unsafe ASN1_TIME_set(X509_getm_notAfter(pointer), time_t(end.milliseconds / 1_000)) != nil
    else { throw .last("ASN1_TIME_set") }
  }

  private static func extensions(
    of profile: CertificateProfile, isSelfSigned: Bool
  ) throws(CertificateError) -> [(Int32, String)] {
    var list: [(Int32, String)] = [(NID_subject_key_identifier, "hash")]
    switch profile.use {
    case .authority:
      list.append((NID_basic_constraints, "critical,CA:TRUE,pathlen:0"))
      list.append((NID_key_usage, "critical,keyCertSign,cRLSign"))
    case .server, .client:
      list.append((NID_basic_constraints, "critical,CA:FALSE"))
      list.append((NID_key_usage, "critical,digitalSignature"))
      list.append((NID_ext_key_usage, profile.use == .server ? "serverAuth" : "clientAuth"))
    }
    if !isSelfSigned { list.append((NID_authority_key_identifier, "keyid")) }
    var names: [String] = []
    for name in profile.names { names.append(try SubjectName(name).configuration) }
    if !names.isEmpty { list.append((NID_subject_alt_name, names.joined(separator: ","))) }
    return list
  }

  private func add(_ nid: Int32, _ text: String, issuedBy issuer: Certificate) throws(CertificateError) {
    var context = unsafe X509V3_CTX()
    // SAFETY: the context lives for the calls, as do the certificates that it points to; what is added is copied.
    unsafe X509V3_set_ctx(&context, issuer.pointer, pointer, nil, nil, 0)
    guard let made = unsafe X509V3_EXT_conf_nid(nil, &context, nid, text) else { throw .last("X509V3_EXT_conf_nid") }
    defer { unsafe X509_EXTENSION_free(made) }
    guard unsafe X509_add_ext(pointer, made, -1) == 1 else { throw .last("X509_add_ext") }
  }
}
