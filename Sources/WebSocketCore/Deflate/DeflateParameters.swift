/// The four parameters of permessage-deflate as one element of Sec-WebSocket-Extensions has them (RFC 7692 §7.1).
struct DeflateParameters: Hashable, Sendable {
  /// Whose element it is: client_max_window_bits may lack its value in an offer only.
  enum Place {
    case offer
    case response
  }

  enum ClientWindowBits: Hashable, Sendable {
    case absent
    /// The client can be told, and says no number itself.
    case withoutValue
    /// 8 to 15.
    case bits(Int)
  }

  /// What makes an element invalid.
  struct Invalid: Error, Hashable, Sendable {
    let detail: String
  }

  private(set) var serverNoContextTakeover = false
  private(set) var clientNoContextTakeover = false
  /// 8 to 15; `nil` if absent.
  private(set) var serverMaxWindowBits: Int?
  private(set) var clientMaxWindowBits = ClientWindowBits.absent

  init(_ element: ExtensionOffer, in place: Place) throws(Invalid) {
    var names: Set<String> = []
    for parameter in element.parameters {
      guard names.insert(parameter.name).inserted else {
        throw Invalid(detail: "\(parameter.name) appears more than once")
      }
      switch parameter.name {
      case "server_no_context_takeover":
        try Self.requireNoValue(parameter)
        serverNoContextTakeover = true
      case "client_no_context_takeover":
        try Self.requireNoValue(parameter)
        clientNoContextTakeover = true
      case "server_max_window_bits":
        serverMaxWindowBits = try Self.windowBits(parameter)
      case "client_max_window_bits":
        let lacksValue = parameter.value == nil && place == .offer
        clientMaxWindowBits = lacksValue ? .withoutValue : .bits(try Self.windowBits(parameter))
      default:
        throw Invalid(detail: "\(parameter.name) is not a parameter of permessage-deflate")
      }
    }
  }

  private static func requireNoValue(_ parameter: ExtensionOffer.Parameter) throws(Invalid) {
    if let value = parameter.value { throw Invalid(detail: "\(parameter.name) has the value \(value) but takes none") }
  }

  /// RFC 7692 §7.1.2: a decimal number from 8 to 15 without leading zeros.
  private static func windowBits(_ parameter: ExtensionOffer.Parameter) throws(Invalid) -> Int {
    guard let value = parameter.value else { throw Invalid(detail: "\(parameter.name) lacks its value") }
    // Compared as text, because "+9" and "09" are numbers too.
    guard let bits = (8...15).first(where: { String($0) == value }) else {
      throw Invalid(detail: "\(parameter.name) is \(value), not a number from 8 to 15")
    }
    return bits
  }
}
