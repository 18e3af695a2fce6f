import ArgumentParsing
import Authentication
import Certificates
import Glibc

/// An API key, from wherever it is given.
enum KeyOptions {
  static let key = Option(
    "api-key", optional: .string, as: "KEY", environment: "LIFELINE_API_KEY",
    "What proves to the coordinator who this is, and to us that it is the coordinator. Other users of this machine can see "
      + "a command line: rather set the variable or use --api-key-file."
  ).secret()
  static let file = Option(
    "api-key-file", optional: .string, as: "FILE", environment: "LIFELINE_API_KEY_FILE",
    "A file with the key, which nobody else may read.")

  /// The key that was given: what stands on the command line counts before what the environment says, and that before a
  /// configuration file.
  static func key(_ invocation: Invocation) throws(UsageError) -> APIKey? {
    let text: String
    if let given = invocation[key], invocation.rank(of: key) <= invocation.rank(of: file) {
      text = given
    } else if let path = invocation[file] {
      do { text = try PrivateFile.read(path) } catch { throw invocation.error("--api-key-file: \(error)") }
    } else {
      return nil
    }
    do { return try APIKey(trimmed(text)) } catch { throw invocation.error("the API key is none: \(error)") }
  }

  private static func trimmed(_ text: String) -> String {
    String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}

/// A small file that must be its owner's alone.
enum PrivateFile {
  struct Problem: Error, CustomStringConvertible {
    let description: String
  }

  static func read(_ path: String) throws(Problem) -> String {
    var status = stat()
    // SAFETY: stat fills the local it is given. A file that is not there is for the reading to report.
    if unsafe stat(path, &status) == 0, status.st_mode & 0o077 != 0 {
      throw Problem(description: "others may read \(path), so what is in it is no secret; do: chmod 600 \(path)")
    }
    do { return try PEMFile.read(path) } catch { throw Problem(description: "\(error)") }
  }

  /// Puts the whole text there or nothing, with mode 600.
  static func write(_ text: String, to path: String) throws(Problem) {
    do { try PEMFile.write(text, to: path, .secret) } catch { throw Problem(description: "\(error)") }
  }

  static func exists(_ path: String) -> Bool { PEMFile.exists(path) }
}
