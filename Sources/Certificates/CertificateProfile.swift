public import Primitives

/// What a certificate says: whose it is, what for, and how long.
public struct CertificateProfile: Sendable, Equatable {
  public enum Use: Sendable, Equatable {
    /// Signs other certificates, and no further authorities.
    case authority
    case server
    case client
  }

  /// The subject's common name, 1 to 64 characters (RFC 5280, ub-common-name).
  public var commonName: String
  /// DNS names, of which the first of three or more labels may be `*`, and IP addresses, for which it is (RFC 5280 §4.2.1.6); clients look
  /// only at these.
  public var names: [String]
  public var use: Use
  /// Valid from this second to that one, both included.
  public var notBefore: WallTime
  public var notAfter: WallTime

  public init(
    commonName: String, names: [String] = [], use: Use, notBefore: WallTime, notAfter: WallTime
  ) {
    self.commonName = commonName
    self.names = names
    self.use = use
    self.notBefore = notBefore
    self.notAfter = notAfter
  }

  /// Finds what OpenSSL would not say clearly, or would take for something else.
  func check() throws(CertificateError) {
    guard !commonName.isEmpty, commonName.unicodeScalars.count <= 64 else {
      throw .badName(commonName, why: "a common name has 1 to 64 characters")
    }
    guard commonName.escapedForDisplay == commonName else {
      throw .badName(commonName.escapedForDisplay, why: "it has control characters or backslashes")
    }
    guard notBefore < notAfter else { throw .emptyValidity }
    for name in names { try Self.check(name: name) }
  }

  /// - Throws: when `name` is neither a host's name nor an IP address.
  public static func check(name: String) throws(CertificateError) { _ = try SubjectName(name) }
}

/// One of the names that a certificate is for.
enum SubjectName: Equatable {
  case host(String)
  case address(String)

  init(_ text: String) throws(CertificateError) {
    let shown = text.escapedForDisplay
    if IPAddressText.isAddress(text) {
      self = .address(text)
      return
    }
    guard !text.isEmpty, text.utf8.count <= 253 else {
      throw .badName(shown, why: "a host's name has 1 to 253 characters")
    }
    // RFC 1123 §2.1, with the underscores that real networks have, and a star for any one label (RFC 6125 §6.4.3).
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    for (index, label) in labels.enumerated() {
      // Clients do not take a star for all of a top-level domain.
      if index == 0, label == "*", labels.count > 2 { continue }
      let isLabel =
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.utf8.allSatisfy { Self.isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
      guard isLabel else {
        throw .badName(shown, why: "expected a host's name of letters, digits, hyphens and dots, or an IP address")
      }
    }
    self = .host(text)
  }

  /// As OpenSSL reads it; `check` has made sure that no other name can be smuggled in.
  var configuration: String {
    switch self {
    case .host(let name): "DNS:\(name)"
    case .address(let address): "IP:\(address)"
    }
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
}
