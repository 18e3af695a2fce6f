internal import Glibc

/// What the system knows about a descriptor that may be a terminal.
public enum TerminalDevice {
  /// Where nothing is known.
  public static let usualColumns = 80

  public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// The terminal's width in columns; `nil` if `descriptor` is not a terminal or does not say.
  public static func columns(_ descriptor: Int32) -> Int? {
    var size = winsize()
    // SAFETY: TIOCGWINSZ writes one `winsize` to the address given, which lives for the call.
    let status = unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size)
    return status == 0 && size.ws_col > 0 ? Int(size.ws_col) : nil
  }
}
