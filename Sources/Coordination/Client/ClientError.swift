internal import Primitives

/// Why a request to a coordinator has no result.
public enum ClientError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The coordinator could not be reached, or not for long enough to answer.
  case unreachable(address: String, cause: String, after: Duration)
  /// Whoever answers at the address is not a coordinator; trying again would not help.
  case notACoordinator(address: String, cause: String)
  /// The coordinator does not let us in, or we do not believe that it is the coordinator; trying again would not help.
  case notAdmitted(address: String, cause: String)
  /// The coordinator answered with an error: `bad_request`, `forbidden`, `not_found`, `refused` or `unavailable`.
  case answered(code: String, message: String)
  case tooLarge(bytes: Int, limit: Int)
  case closed

  public var description: String {
    switch self {
    case .unreachable(let address, let cause, let patience):
      "no coordinator answered at \(address) for \(patience.inSeconds) s: \(cause)"
    case .notACoordinator(let address, let cause): "\(address) is not a Lifeline coordinator: \(cause)"
    case .notAdmitted(let address, let cause): "no way in to \(address): \(cause)"
    case .answered(_, let message): message
    case .tooLarge(let bytes, let limit): "the request has \(bytes) bytes; the coordinator takes at most \(limit)"
    case .closed: "the client was closed before the answer came"
    }
  }

  /// The code of the coordinator's own answer, if it gave one.
  public var code: String? { if case .answered(let code, _) = self { code } else { nil } }
}
