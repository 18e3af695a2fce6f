/// The extensions both ends agreed on (RFC 6455 §9).
///
/// Nothing is negotiated yet. permessage-deflate (RFC 7692) belongs here: it picks an offer in `negotiated(from:)`,
/// answers it in `responseValue` and claims RSV1 in `reservedBits`.
public struct Extensions: Hashable, Sendable {
  public static let none = Extensions()

  /// Reserved bits that have a meaning on this connection, as they stand in a frame's first byte.
  public var reservedBits: UInt8 { 0 }

  /// What a client offers; `nil` leaves the field out.
  var offerValue: String? { nil }

  /// What a server answers; `nil` leaves the field out.
  var responseValue: String? { nil }

  /// A server's choice among a client's offers: declining an offer is always allowed.
  static func negotiated(from offers: [ExtensionOffer]) -> Extensions { .none }

  /// A client's reading of the server's choice: what was not offered must not be chosen (RFC 6455 §4.1).
  static func confirmed(by choices: [ExtensionOffer]) throws(HandshakeError) -> Extensions {
    if let choice = choices.first { throw .extensionNotOffered(choice.name) }
    return .none
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
