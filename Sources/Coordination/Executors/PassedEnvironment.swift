import Glibc
import Reactor

/// Which variables of a worker's environment its commands find in theirs.
///
/// What a task's `env` says always counts, and so do the variables that the worker sets for it. Secrets of the worker's own
/// (`CommandVariable.isWithheld`) are never handed on.
public struct PassedEnvironment: Equatable, Sendable {
  public static let maxPatterns = 1_000

  /// Names, and beginnings of names with a `*` at their end; `nil`: everything.
  public private(set) var patterns: [String]?

  /// What programs need to find their files and to speak the user's language.
  public static let usual = PassedEnvironment(patterns: [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TERM",
  ])
  public static let all = PassedEnvironment(patterns: nil)

  private init(patterns: [String]?) { self.patterns = patterns }

  /// The usual ones and some more.
  ///
  /// - Returns: `nil` when one of them cannot be a name: `=`, a zero byte, a `*` that is not at the end, or nothing at all.
  public init?(andAlso names: [String]) {
    guard names.count <= Self.maxPatterns, names.allSatisfy(Self.isPattern) else { return nil }
    patterns = (Self.usual.patterns ?? []) + names
  }

  /// From the worker's own words to its supervising process.
  init(passing patterns: [String]?) { self.patterns = patterns }

  private static func isPattern(_ text: String) -> Bool {
    let name = text.hasSuffix("*") ? String(text.dropLast()) : text
    return !text.isEmpty && !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "*") }
  }

  func passes(_ name: some Collection<UInt8>) -> Bool {
    guard !CommandVariable.isWithheld(String(decoding: Array(name), as: UTF8.self)) else { return false }
    guard let patterns else { return true }
    return patterns.contains { pattern in
      guard pattern.hasSuffix("*") else { return pattern.utf8.elementsEqual(name) }
      return name.starts(with: pattern.utf8.dropLast())
    }
  }

  /// Takes everything that does not pass out of this process's environment; the rest stays as it is, byte for byte.
  func apply() {
    for name in ProcessEnvironment.names() where !passes(name) {
      let text = name.map { CChar(bitPattern: $0) } + [0]
      // SAFETY: the array ends with a zero and lives for the call.
      _ = unsafe unsetenv(text)
    }
  }
}
