/// A certificate and the private key that goes with it, both as PEM.
public struct Identity: Sendable, Equatable {
  public let certificate: String
  public let privateKey: String
}

extension Identity: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Never the key.
  public var description: String { "identity, certificate of \(certificate.utf8.count) bytes" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["certificate": certificate]) }
}
