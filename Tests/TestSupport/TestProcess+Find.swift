import Glibc

extension TestProcess {
  /// Where a program of the system is; `nil` where it is not installed, and then a test of it says so and is skipped.
  public static func find(_ name: String) -> String? {
    ["/usr/local/bin", "/usr/bin", "/bin"].map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }
}
