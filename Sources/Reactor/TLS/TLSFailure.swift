/// Why a TLS connection did not come about, or broke.
public enum TLSFailure: Error, Equatable, Sendable {
  /// The server's certificate is not believed.
  case certificateExpired
  case certificateNotYetValid
  /// It is for others; what it is for is in `names`.
  case wrongHost(expected: String, names: [String])
  /// Nobody we trust has signed it.
  case unknownAuthority
  case certificateRefused(String)
  /// The peer speaks only versions that we do not, or the other way about.
  case protocolVersion
  /// The peer sent something that is no TLS.
  case notTLS
  /// A client sent a plain HTTP request; it was told so.
  case plainHTTP
  /// The server asked for a certificate and got none.
  case clientCertificateMissing
  /// The peer refused and said why.
  case refusedByPeer(String)
  /// The connection ended in the middle of the handshake.
  case endedDuringHandshake
  /// The stream ended without the peer saying so: what came may be only a part (RFC 8446 §6.1).
  case truncated
  case other(String)
}

extension TLSFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .certificateExpired:
      "the peer's certificate has expired; it must be renewed (or this machine's clock is wrong)"
    case .certificateNotYetValid:
      "the peer's certificate is not valid yet; this machine's clock or the peer's may be wrong"
    case .wrongHost(let expected, let names):
      "the server's certificate is for \(names.isEmpty ? "no name at all" : names.joined(separator: ", ")), not for "
        + "\(expected)"
    case .unknownAuthority:
      "nobody who is trusted here has signed the peer's certificate; give the file of its authority (CA)"
    case .certificateRefused(let problem): "the peer's certificate is refused: \(problem)"
    case .protocolVersion: "both ends have no version of TLS in common; 1.2 is the oldest that is spoken here"
    case .notTLS: "the peer does not speak TLS"
    case .plainHTTP: "a plain HTTP request came to a port that speaks TLS; use https:// or wss://"
    case .clientCertificateMissing: "the server asks for a client certificate that its authority has signed"
    case .refusedByPeer(let alert): "the peer refused: \(alert)"
    case .endedDuringHandshake: "the connection ended during the TLS handshake"
    case .truncated: "the connection ended without the end of the TLS stream: something may be missing"
    case .other(let problem): problem
    }
  }
}
