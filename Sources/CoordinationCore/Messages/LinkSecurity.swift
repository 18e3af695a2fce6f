public import Authentication

/// What a worker's connection proved at its upgrade, and so what each of its messages must carry.
public enum LinkSecurity: Equatable, Sendable {
  /// Nothing beyond what the connection itself gives.
  case open
  /// Session mode: a code of a `MessageAuthenticator` in place of the checksum.
  case signed(ChannelSecret)
  /// Legacy mode: a `signature` member as the reference makes it, under this digest of the key.
  case signedAsReference(digest: String)

  var channel: ChannelSecret? { if case .signed(let secret) = self { secret } else { nil } }

  var legacyDigest: String? { if case .signedAsReference(let digest) = self { digest } else { nil } }
}
