/// Where a coordinator may listen, depending on how it is protected.
public enum ListeningRule {
  /// - Returns: why it must not; `nil` when it may.
  public static func problem(
    host: String, isLoopback: Bool, hasTLS: Bool, hasKeys: Bool, isInsecure: Bool
  ) -> String? {
    guard !isLoopback, !isInsecure, !(hasTLS && hasKeys) else { return nil }
    let missing =
      switch (hasTLS, hasKeys) {
      case (false, false): "TLS (--tls-certificate and --tls-key) and an API key (--api-key or --keys)"
      case (false, true): "TLS (--tls-certificate and --tls-key)"
      case (true, _): "an API key (--api-key or --keys)"
      }
    return
      "\(host) can be reached from other machines, and whoever reaches it could run commands: that needs \(missing); or "
      + "say --insecure on a network you trust"
  }
}
