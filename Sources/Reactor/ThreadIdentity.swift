import Glibc

/// Which thread owns a loop; comparing costs one thread-local read.
struct ThreadIdentity: Equatable, Sendable {
  private let handle: UInt

  static var current: ThreadIdentity { ThreadIdentity(handle: UInt(pthread_self())) }
}
