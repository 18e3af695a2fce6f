import ArgumentParsing
import Glibc
import Terminal

/// Standard output for results, standard error for everything said about them.
///
/// Results wait for their reader as long as it takes. A reader that has gone ends the program, quietly, with the status
/// that SIGPIPE would have given it.
final class Console: Sendable {
  static let standard = Console()

  private static let brokenPipeStatus: Int32 = 128 + SIGPIPE

  let outputIsTerminal = TerminalDevice.isTerminal(STDOUT_FILENO)
  let outputStyle: TextStyle
  private let errorStyle: TextStyle
  /// On a terminal lines share it with a progress line; a terminal that was stopped (Ctrl-S) is waited for.
  private let terminal: LineWriter?

  private init() {
    let variables = Surroundings.variables
    outputStyle = TextStyle(isTerminal: outputIsTerminal, environment: variables)
    errorStyle = TextStyle(isTerminal: TerminalDevice.isTerminal(STDERR_FILENO), environment: variables)
    terminal = outputIsTerminal ? LineWriter(.standardOutput, patience: .seconds(3_600)) : nil
  }

  /// The terminal's width; `nil` when results do not go to one.
  var outputColumns: Int? {
    outputIsTerminal ? TerminalDevice.columns(STDOUT_FILENO) ?? TerminalDevice.usualColumns : nil
  }

  /// Writes a result as it is.
  func write(_ text: String) {
    switch DescriptorWriter.standardOutput.write(text) {
    case .written, .stalled: break
    case .closed: exit(Self.brokenPipeStatus)
    case .failed(let code): quit(standardOutputFailed: code)
    }
  }

  /// Writes a line of a result; on a terminal, above the progress line.
  func write(line text: String) {
    if let terminal { terminal.write(line: text) } else { write(text + "\n") }
  }

  /// Writes a table as a result, as wide as the terminal at the most.
  func write(_ table: Table) {
    for line in table.lines(width: outputColumns, style: outputStyle) { write("\(line)\n") }
  }

  /// Writes bytes as they are, whatever they are.
  func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) {
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: the kernel reads at most the slice's bytes during the call.
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
        continue
      }
      switch errno {
      case EINTR: break
      case EAGAIN:
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        // SAFETY: one entry, which lives for the call.
        _ = unsafe poll(&entry, 1, -1)
      case EPIPE: exit(Self.brokenPipeStatus)
      case let code: quit(standardOutputFailed: code)
      }
    }
  }

  private func quit(standardOutputFailed code: Int32) -> Never {
    // SAFETY: strerror's text is copied before anyone else could ask for another.
    complain("lifeline: standard output cannot be written: \(unsafe String(cString: strerror(code)))")
    exit(1)
  }

  /// Shows a progress line, on a terminal only; an empty text removes it.
  func show(live text: String) { terminal?.show(live: text) }

  func show(_ output: ProgressLine.Output?) { terminal?.show(output) }

  /// Writes a line to standard error.
  func complain(_ text: String) {
    terminal?.show(live: "")
    LineWriter.standardError.write(line: text)
  }

  /// Writes a remark to standard error: worth knowing, not an error.
  func remark(_ text: String) { complain(errorStyle.apply(.dim, to: text)) }
}
