import Glibc

/// How many descriptors this process may have open: usually 1,024, which is one connection short of a large fleet.
enum DescriptorLimit {
  /// Raises the soft limit to the hard one. A process that may not is left as it is: it still works for a small fleet.
  /// - Returns: the limit that then holds.
  @discardableResult
  static func raise() -> Int {
    var limit = rlimit()
    // SAFETY: getrlimit fills the local it is given, and setrlimit only reads it.
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
    let before = limit.rlim_cur
    limit.rlim_cur = limit.rlim_max
    // SAFETY: as above.
    let isRaised = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    return Int(clamping: isRaised ? limit.rlim_max : before)
  }
}
