import Reactor
import TestSupport
import WebSocket

/// A server that answers, but not with what it was sent.
final class Liar: WebSocketDelegate {
  enum Lie {
    case flipsABit, leavesOutAByte, addsAByte

    func answer(to message: [UInt8]) -> [UInt8] {
      switch self {
      case .flipsABit: message.dropLast() + message.suffix(1).map { $0 ^ 1 }
      case .leavesOutAByte: message.dropLast()
      case .addsAByte: message + [0]
      }
    }
  }

  private let lie: Lie

  private init(_ lie: Lie) { self.lie = lie }

  static func serve(_ lie: Lie) throws -> RunningServer {
    try RunningServer { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop) { _ in
        .accept(subprotocol: nil, delegate: Liar(lie))
      }
      return server.localAddress
    }
  }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    socket.send(binary: lie.answer(to: message.withUnsafeBytes { Array($0) }))
  }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
}
