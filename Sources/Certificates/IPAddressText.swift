import COpenSSL

enum IPAddressText {
  /// Whether `text` is an IPv4 or IPv6 address.
  static func isAddress(_ text: String) -> Bool {
    // OpenSSL would stop at a zero byte and take what is before it.
    guard !text.utf8.contains(0) else { return false }
    // SAFETY: the text is read during the call; the string that it gives is ours and freed.
    guard let octets = unsafe a2i_IPADDRESS(text) else {
      ERR_clear_error()
      return false
    }
    unsafe ASN1_OCTET_STRING_free(octets)
    return true
  }
}
