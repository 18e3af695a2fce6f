/// What a server needs to speak TLS: who it is, and whom it admits.
public struct TLSServerConfiguration: Sendable, Equatable {
  /// PEM: the server's certificate, then those between it and the root.
  public var certificateChainFile: String
  /// PEM, without a passphrase; must not be readable by others.
  public var privateKeyFile: String
  /// PEM: whose clients' certificates are believed; `nil`: clients are not asked for any.
  public var clientCAFile: String?
  /// Whether a client without a certificate is turned away; otherwise one that has none is served all the same.
  public var requiresClientCertificate = true
  /// Application protocols, the preferred one first (RFC 7301); empty: whatever the client asks for is passed over.
  public var applicationProtocols: [String] = []

  public init(certificateChainFile: String, privateKeyFile: String) {
    self.certificateChainFile = certificateChainFile
    self.privateKeyFile = privateKeyFile
  }
}

/// What a client needs to speak TLS. The server's certificate and its name are always verified.
public struct TLSClientConfiguration: Sendable, Equatable {
  /// PEM: whose servers' certificates are believed; `nil`: the system's authorities.
  public var caFile: String?
  /// PEM: this client's own certificate and key, for servers that ask; both or neither.
  public var certificateChainFile: String?
  public var privateKeyFile: String?
  /// The name that is asked for and verified instead of the host that is dialled.
  public var serverName: String?
  /// Application protocols to offer, the preferred one first (RFC 7301).
  public var applicationProtocols: [String] = []

  public init() {}
}

/// Why TLS cannot be set up as configured: which file, what is wrong with it, and what to do.
public struct TLSConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// What both ends agreed on.
public struct TLSInfo: Sendable, Equatable {
  /// `TLSv1.3` or `TLSv1.2`.
  public let version: String
  /// OpenSSL's name, such as `TLS_AES_256_GCM_SHA384`.
  public let cipher: String
  /// Whether an earlier session was taken up, which spares the certificates and most of the computing.
  public let isResumed: Bool
  /// `nil` when none was agreed on.
  public let applicationProtocol: String?
  /// The name that the client asked for; `nil` for an address.
  public let serverName: String?
  /// The subject of the peer's verified certificate, such as `CN = worker-7`; `nil` when it showed none.
  public let peerSubject: String?
}
