/// The extensions both ends agreed on (RFC 6455 §9): permessage-deflate or none.
public struct Extensions: Hashable, Sendable {
  public static let none = Extensions()

  /// How messages are compressed (RFC 7692); `nil` if they are not.
  public var deflate: DeflateAgreement?

  /// Without an agreement, no extension at all.
  public init(deflate: DeflateAgreement? = nil) {
    self.deflate = deflate
  }

  /// Reserved bits that have a meaning on this connection, as they stand in a frame's first byte. RSV1 marks the first
  /// frame of a compressed message (RFC 7692 §6); on a continuation or a control frame it has no meaning even so.
  public var reservedBits: UInt8 { deflate == nil ? 0 : 0x40 }

  /// What a client offers; `nil` leaves the field out.
  static func offerValue(for configuration: CompressionConfiguration?) -> String? {
    configuration.map(DeflateAgreement.offerValue)
  }

  /// What a server answers; `nil` leaves the field out.
  var responseValue: String? { deflate?.responseValue }

  /// A server's choice: the first offer that is valid and within the configuration. The others are declined by silence,
  /// so that a client may list what it would rather have before what it can live with (RFC 7692 §5.1, §7.1).
  static func negotiated(
    from offers: [ExtensionOffer], _ configuration: CompressionConfiguration?
  ) -> Extensions {
    guard let configuration else { return .none }
    for offer in offers where offer.name == DeflateAgreement.name {
      if let agreement = DeflateAgreement(accepting: offer, configuration) { return Extensions(deflate: agreement) }
    }
    return .none
  }

  /// A client's reading of the server's choice, which must fit what was offered (RFC 6455 §4.1, RFC 7692 §5.1).
  static func confirmed(
    by choices: [ExtensionOffer], offered configuration: CompressionConfiguration?
  ) throws(HandshakeError) -> Extensions {
    var extensions = Extensions.none
    for choice in choices {
      guard let configuration, choice.name == DeflateAgreement.name else { throw .extensionNotOffered(choice.name) }
      guard extensions.deflate == nil else { throw .extensionInvalid(choice.name, detail: "it is selected twice") }
      extensions.deflate = try DeflateAgreement(confirming: choice, configuration)
    }
    return extensions
  }
}

/// One element of Sec-WebSocket-Extensions: `name; parameter; parameter=value` (RFC 6455 §9.1).
public struct ExtensionOffer: Hashable, Sendable {
  public struct Parameter: Hashable, Sendable {
    public let name: String
    public let value: String?
  }

  public let name: String
  public let parameters: [Parameter]

  static let fieldName = "sec-websocket-extensions"

  /// The elements of every such field, in order.
  static func parse(_ headers: HTTPHeaders) throws(HandshakeError) -> [ExtensionOffer] {
    var offers: [ExtensionOffer] = []
    for value in headers.values(fieldName) {
      for element in try split(value, at: ",", of: value) {
        offers.append(try parse(element, of: value))
      }
    }
    return offers
  }

  private static func parse(_ element: String, of field: String) throws(HandshakeError) -> ExtensionOffer {
    var parts = try split(element, at: ";", of: field)[...]
    guard let name = parts.popFirst(), name.isToken else { throw .invalidField(fieldName, value: field) }
    var parameters: [Parameter] = []
    for part in parts {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let parameter = pair.first.map { String($0.trimmingBlanks) } ?? ""
      var value = pair.count == 2 ? String(pair[1].trimmingBlanks) : nil
      if let quoted = value, quoted.utf8.count >= 2, quoted.hasPrefix("\""), quoted.hasSuffix("\"") {
        value = String(quoted.dropFirst().dropLast()).filter { $0 != "\\" }
      }
      guard parameter.isToken, value?.isToken ?? true else { throw .invalidField(fieldName, value: field) }
      parameters.append(Parameter(name: parameter, value: value))
    }
    return ExtensionOffer(name: name, parameters: parameters)
  }

  /// Cuts at a separator outside quotes; an empty element is malformed.
  private static func split(
    _ text: String, at separator: Character, of field: String
  ) throws(HandshakeError) -> [String] {
    var parts: [String] = [""]
    var isQuoted = false
    for character in text {
      if character == "\"" { isQuoted.toggle() }
      if character == separator && !isQuoted {
        parts.append("")
      } else {
        parts[parts.count - 1].append(character)
      }
    }
    let trimmed = parts.map { String($0[...].trimmingBlanks) }
    guard !isQuoted, trimmed.allSatisfy({ !$0.isEmpty }) else { throw .invalidField(fieldName, value: field) }
    return trimmed
  }
}
