/// What both ends agreed on about permessage-deflate (RFC 7692 §7.1).
public struct DeflateAgreement: Hashable, Sendable {
  /// Whether the server forgets its window after each message.
  public let serverNoContextTakeover: Bool
  /// Whether the client forgets its window after each message.
  public let clientNoContextTakeover: Bool
  /// The binary logarithm of the server's window in bytes: 8 to 15.
  public let serverMaxWindowBits: Int
  /// The binary logarithm of the client's window in bytes: 8 to 15.
  public let clientMaxWindowBits: Int

  static let name = "permessage-deflate"

  /// How `role` compresses what it sends. With 8 window bits it cannot, for zlib's windows start at 9, and sends plain
  /// messages, which is always allowed (RFC 7692 §6).
  public func outgoing(for role: Role) -> (windowBits: Int, takeover: Bool) {
    switch role {
    case .server: (serverMaxWindowBits, !serverNoContextTakeover)
    case .client: (clientMaxWindowBits, !clientNoContextTakeover)
    }
  }

  /// How `role` inflates what it receives.
  public func incoming(for role: Role) -> (windowBits: Int, takeover: Bool) {
    switch role {
    case .server: outgoing(for: .client)
    case .client: outgoing(for: .server)
    }
  }
}

// MARK: Server

extension DeflateAgreement {
  /// A server's agreement to one offer; `nil` declines it, because it is invalid or beyond the configuration.
  init?(accepting offer: ExtensionOffer, _ configuration: CompressionConfiguration) {
    guard let offered = try? DeflateParameters(offer, in: .offer) else { return nil }
    let isShared = configuration.context == .shared
    serverNoContextTakeover = isShared || offered.serverNoContextTakeover
    clientNoContextTakeover = isShared || offered.clientNoContextTakeover

    let outgoing = min(offered.serverMaxWindowBits ?? 15, configuration.maxOutgoingWindowBits)
    // zlib cannot keep to a window of 2^8 bytes: it would refer back further than the client can look.
    guard outgoing >= 9 else { return nil }
    serverMaxWindowBits = outgoing

    switch offered.clientMaxWindowBits {
    case .absent:
      // The client cannot be told of a smaller window, and inflating with a larger one costs what was ruled out.
      guard configuration.maxIncomingWindowBits == 15 else { return nil }
      clientMaxWindowBits = 15
    case .withoutValue: clientMaxWindowBits = configuration.maxIncomingWindowBits
    case .bits(let bits): clientMaxWindowBits = min(bits, configuration.maxIncomingWindowBits)
    }
  }

  /// A server's answer, which leaves out what is the default: 15 bits and context takeover.
  ///
  /// All of it may be said unasked but for client_max_window_bits, which is less than 15 only if the client offered it.
  var responseValue: String {
    var value = Self.name
    if serverNoContextTakeover { value += "; server_no_context_takeover" }
    if clientNoContextTakeover { value += "; client_no_context_takeover" }
    if serverMaxWindowBits < 15 { value += "; server_max_window_bits=\(serverMaxWindowBits)" }
    if clientMaxWindowBits < 15 { value += "; client_max_window_bits=\(clientMaxWindowBits)" }
    return value
  }
}

// MARK: Client

extension DeflateAgreement {
  /// What a client offers: all that it wants of the server, and that it can be told of a smaller window.
  static func offerValue(for configuration: CompressionConfiguration) -> String {
    var value = Self.name
    if configuration.context == .shared { value += "; server_no_context_takeover; client_no_context_takeover" }
    if configuration.maxIncomingWindowBits < 15 {
      value += "; server_max_window_bits=\(configuration.maxIncomingWindowBits)"
    }
    value += "; client_max_window_bits"
    if configuration.maxOutgoingWindowBits < 15 { value += "=\(configuration.maxOutgoingWindowBits)" }
    return value
  }

  /// A client's reading of the server's answer to `offerValue`.
  init(confirming answer: ExtensionOffer, _ configuration: CompressionConfiguration) throws(HandshakeError) {
    let answered: DeflateParameters
    do throws(DeflateParameters.Invalid) {
      answered = try DeflateParameters(answer, in: .response)
    } catch {
      throw .extensionInvalid(Self.name, detail: error.detail)
    }
    let isShared = configuration.context == .shared
    guard answered.serverNoContextTakeover || !isShared else {
      throw .extensionInvalid(Self.name, detail: "server_no_context_takeover was asked for and is missing")
    }
    serverNoContextTakeover = answered.serverNoContextTakeover
    // Whoever compresses may always forget: the peer's larger memory does no harm (RFC 7692 §7.1.1.2).
    clientNoContextTakeover = isShared || answered.clientNoContextTakeover

    let incoming = answered.serverMaxWindowBits ?? 15
    guard incoming <= configuration.maxIncomingWindowBits else {
      throw .extensionInvalid(
        Self.name,
        detail: "server_max_window_bits is \(incoming), more than the \(configuration.maxIncomingWindowBits) offered")
    }
    serverMaxWindowBits = incoming

    switch answered.clientMaxWindowBits {
    case .absent, .withoutValue: clientMaxWindowBits = configuration.maxOutgoingWindowBits
    case .bits(let bits):
      guard bits <= configuration.maxOutgoingWindowBits else {
        throw .extensionInvalid(
          Self.name,
          detail: "client_max_window_bits is \(bits), more than the \(configuration.maxOutgoingWindowBits) offered")
      }
      clientMaxWindowBits = bits
    }
  }
}
