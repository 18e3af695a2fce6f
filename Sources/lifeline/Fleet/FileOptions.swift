import ArgumentParsing
import Coordination
import CoordinationCore
import Storage

/// What `lifeline coordinator` says about the files of tasks.
enum FileOptions {
  private static let maxFileBytes = Option(
    "max-file-bytes", .integer(1...FileLimits.maxBytes), default: ContentLimits().maxFileBytes, as: "N",
    "The largest file taken, in bytes.")
  private static let maxFilesBytes = Option(
    "max-files-bytes", .integer(1...FileLimits.maxBytes), default: ContentLimits().maxBytes, as: "N",
    "What all files may have together, in bytes; more are refused.")
  private static let keep = Option(
    "files-keep", .duration(.seconds(1) ... .seconds(10 * 366 * 86_400)), default: FileSettings().keep,
    "A file that no unfinished task needs is removed so long after its last use.")

  static let all: [any DeclaredOption] = [maxFileBytes, maxFilesBytes, keep]

  static func apply(_ invocation: Invocation, to settings: inout FileSettings) {
    settings.limits.maxFileBytes = invocation[maxFileBytes]
    settings.limits.maxBytes = invocation[maxFilesBytes]
    settings.keep = invocation[keep]
  }
}
