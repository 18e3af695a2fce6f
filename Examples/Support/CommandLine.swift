import Glibc

/// What every example's `main` shares, so that the examples are about their subjects.
public enum ExampleProgram {
  public static var arguments: [String] { Array(CommandLine.arguments.dropFirst()) }

  /// Runs a program's body; an error ends the process with status 1 and one line.
  public static func run(_ body: () throws -> Void) {
    do { try body() } catch { end("\(error)", status: 1) }
  }

  /// Writes a line to standard output at once, even into a pipe.
  public static func say(_ line: String) {
    print(line)
    fflush(nil)
  }

  /// Ends the process with status 2: it was called wrongly.
  public static func usage(_ line: String) -> Never { end("usage: \(line)", status: 2) }

  /// Ends the process with one line on standard error.
  public static func end(_ line: String, status: Int32) -> Never {
    let bytes = Array((line + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
    exit(status)
  }
}
