public import Authentication

/// Whom a coordinator lets in.
public struct SecuritySettings: Sendable {
  /// `nil`: everybody who reaches it. An empty ring lets nobody in.
  public var keys: KeyRing?
  /// How far the time of a signed request may be from ours.
  public var window: Duration = .seconds(300)
  /// Whether it may listen beyond loopback without TLS or without keys.
  public var isInsecure = false

  public init() {}
}
