/// Which end of the connection this is: the rules are the same code, the role decides who masks and who answers first.
public enum Role: Hashable, Sendable {
  /// Accepted the TCP connection; receives masked frames and sends unmasked ones (RFC 6455 §5.1).
  case server
  /// Opened the TCP connection; sends masked frames and receives unmasked ones (RFC 6455 §5.1).
  case client
}
