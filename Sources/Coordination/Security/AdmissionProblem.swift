import CoordinationCore
import Reactor
import WebSocket
import WebSocketCore

extension WebSocketError {
  /// Why we are not let in, or do not want to be, in words for whoever runs this; `nil` for everything that may pass.
  func admissionProblem(hasKey: Bool) -> String? {
    switch self {
    case .connection(.handshake(.refused(let refusal))) where refusal.status == 401 || refusal.status == 403:
      let advice = hasKey ? "" : "; give one with --api-key-file or LIFELINE_API_KEY"
      return "the coordinator refused with status \(refusal.status): \(Self.message(refusal.body))\(advice)"
    case .transport(let error):
      switch error.tls {
      case nil, .endedDuringHandshake?, .truncated?, .other?: return nil
      case let failure?: return "\(failure)"
      }
    default: return nil
    }
  }

  private static func message(_ body: [UInt8]) -> String {
    guard case .object(let object)? = try? JSONParser.parse(Array(body.prefix(4_096)), validated: false),
      let text = object["error"]?.string
    else { return "no reason was given" }
    return text
  }
}
