import ArgumentParsing
import Coordination
import Glibc
import History
import Reactor

/// `--history`, for whoever wants to check afterwards what happened.
enum HistoryOption {
  static let file = Option(
    "history", optional: .string, as: "FILE",
    "Append a line of JSON for everything that decides whether work is lost or done twice.")

  /// - Returns: `nil` when no history is wanted.
  static func recorder(_ invocation: Invocation) throws(SystemError) -> (@Sendable (HistoryEvent) -> Void)? {
    guard let path = invocation[file] else { return nil }
    let name = invocation.path.joined(separator: " ")
    let history = try HistoryFile(appendingTo: path) { error in
      // A history with holes would accuse the innocent.
      Console.standard.complain("\(name): \(error)")
      exit(1)
    }
    return { history.record($0) }
  }
}
