import Glibc
import Reactor

extension SystemError {
  /// Whether the reactor gave a connection up because too much waited to be written.
  var isOverflow: Bool { call == "send" && code == ENOBUFS }
}
