import Reactor
import WebSocket

/// Runs every case of the Autobahn testsuite's fuzzing server: it says at `/getCaseCount` how many it has, each is a
/// connection to `/runCase` on which messages are echoed until it ends, and `/updateReports` asks for the result.
///
/// What a case does to its connection is for the server to judge, so only the way there can fail here.
final class ConformanceClient {
  enum Failure: Error {
    case unreachable(WebSocketURL, SystemError)
    case noCaseCount(WebSocketURL, answer: String)
  }

  private(set) var caseCount = 0
  private let url: WebSocketURL
  private let loop: EventLoop
  private let agent: String
  private let configuration: WebSocketConfiguration
  private let tls: TLSClientContext?
  private var completion: ((Failure?) -> Void)?

  init(
    of url: WebSocketURL, as agent: String, _ configuration: WebSocketConfiguration, tls: TLSClientContext?,
    on loop: EventLoop
  ) {
    self.url = url
    self.loop = loop
    self.agent = agent
    self.configuration = configuration
    self.tls = tls
  }

  /// Runs everything; `completion` comes once, at the end or with the first failure.
  func start(_ completion: @escaping (Failure?) -> Void) {
    self.completion = completion
    let listener = Listening()
    exchange("/getCaseCount", listener) { [self] in
      guard let count = Int(listener.text), count >= 0 else {
        return finish(.noCaseCount(url, answer: listener.text))
      }
      caseCount = count
      runCase(1)
    }
  }

  private func runCase(_ number: Int) {
    guard number <= caseCount else {
      return exchange("/updateReports?agent=\(agent)", Listening()) { [self] in finish(nil) }
    }
    exchange("/runCase?case=\(number)&agent=\(agent)", Echo()) { [self] in runCase(number + 1) }
  }

  /// One connection from its beginning to its end, or to a handshake that failed.
  private func exchange(_ target: String, _ delegate: any WebSocketDelegate, then: @escaping () -> Void) {
    let end = Ending(delegate, then)
    let place: WebSocketURL
    do {
      place = try WebSocketURL(host: url.host, port: url.port, target: target, isSecure: url.isSecure)
    } catch {
      preconditionFailure("a URL's own host is no host: \(error)")
    }
    WebSocketClient.connect(to: place, on: loop, configuration: configuration, tls: tls, delegate: end) {
      [self] result in
      switch result {
      case .success: break
      case .failure(.transport(let error)) where error.call == "connect" || error.tls != nil:
        finish(.unreachable(place, error))
      case .failure: loop.afterTurn(then)  // A case may spoil the handshake.
      }
    }
  }

  private func finish(_ failure: Failure?) {
    let completion = completion.take()
    completion?(failure)
  }

  /// Takes the one text that the server has to say.
  private final class Listening: WebSocketDelegate {
    private(set) var text = ""

    func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
      // SAFETY: the pointer is used within the closure only.
      text = unsafe message.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }
    func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
  }

  /// Lets another delegate do the talking, and tells when the connection is gone.
  private final class Ending: WebSocketDelegate {
    private let inner: any WebSocketDelegate
    private let then: () -> Void

    init(_ inner: any WebSocketDelegate, _ then: @escaping () -> Void) {
      self.inner = inner
      self.then = then
    }

    func webSocketDidOpen(_ socket: WebSocketConnection) { inner.webSocketDidOpen(socket) }
    func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
      inner.webSocket(socket, didReceive: message, kind: kind)
    }
    func webSocketDidReceivePong(_ socket: WebSocketConnection) { inner.webSocketDidReceivePong(socket) }
    func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) {
      inner.webSocketDidRiseAboveHighWatermark(socket)
    }
    func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) {
      inner.webSocketDidDrainBelowLowWatermark(socket)
    }
    func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {
      inner.webSocketDidClose(socket, reason: reason)
      then()
    }
  }
}

extension ConformanceClient.Failure: CustomStringConvertible {
  var description: String {
    switch self {
    case .unreachable(let url, let error): "cannot reach \(url): \(error)"
    case .noCaseCount(let url, let answer):
      "\(url) answers /getCaseCount with \"\(answer)\", not a number; is this the testsuite's fuzzing server?"
    }
  }
}
