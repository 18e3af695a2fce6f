/// What the connections of one origin have in common, held once for all of them.
final class ConnectionProfile {
  let options: ConnectionOptions
  /// The listener that accepts them; nil for one that we connected.
  let origin: ObjectIdentifier?

  init(_ options: ConnectionOptions, origin: ObjectIdentifier? = nil) {
    self.options = options
    self.origin = origin
  }
}
