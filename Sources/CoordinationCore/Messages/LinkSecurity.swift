public import Authentication

/// What a worker's connection proved at its upgrade, and so what each of its messages must carry.
public enum LinkSecurity: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
  /// Nothing beyond what the connection itself gives.
  case open
  /// Session mode: a code of a `MessageAuthenticator` in place of the checksum.
  case signed(ChannelSecret)
  /// Legacy mode: a `signature` member as the reference makes it, under this digest of the key.
  case signedAsReference(digest: String)

  public var description: String {
    switch self {
    case .open: "open"
    case .signed: "signed"
    case .signedAsReference: "signed as the reference does"
    }
  }

  public var customMirror: Mirror { Mirror(self, children: []) }

  var channel: ChannelSecret? { if case .signed(let secret) = self { secret } else { nil } }

  var legacyDigest: String? { if case .signedAsReference(let digest) = self { digest } else { nil } }
}
