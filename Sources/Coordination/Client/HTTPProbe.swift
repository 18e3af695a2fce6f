import Primitives
package import Reactor
package import WebSocket

/// The status and the body of an answer that was read to its end.
package struct HTTPAnswer: Equatable {
  package let status: Int
  package let body: String

  /// - Returns: `nil` for what is no HTTP/1 answer.
  init?(_ bytes: [UInt8]) {
    let end = Array("\r\n\r\n".utf8)
    guard let headEnd = bytes.indices.first(where: { bytes[$0...].starts(with: end) }) else { return nil }
    let words = String(decoding: bytes[..<headEnd], as: UTF8.self).split(separator: " ", maxSplits: 2)
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1].prefix(3)) else { return nil }
    self.status = status
    body = String(decoding: bytes[headEnd...].dropFirst(end.count), as: UTF8.self)
  }
}

/// One GET over a connection of its own, which ends with the answer.
package final class HTTPProbe: ConnectionDelegate {
  package struct Problem: Error, CustomStringConvertible {
    package let description: String
  }

  /// Whoever sends more is no coordinator.
  private static let maxAnswerBytes = 64 << 10

  private let url: WebSocketURL
  private var bytes: [UInt8] = []
  private var timer: Timer?
  private var connection: Connection?
  private var completion: ((Result<HTTPAnswer, Problem>) -> Void)?

  /// - Parameter timeout: for all of it, name resolution included.
  package init(
    _ url: WebSocketURL, on loop: EventLoop, timeout: Duration, tls: TLSClientContext?,
    _ completion: @escaping (Result<HTTPAnswer, Problem>) -> Void
  ) {
    self.url = url
    self.completion = completion
    timer = loop.schedule(after: timeout) { [weak self] in
      self?.finish(.failure(Problem(description: "\(url) has not answered for \(timeout)")))
    }
    Connection.connect(host: url.host, port: url.port, on: loop, timeout: timeout, tls: tls) { [weak self] in
      self?.connected($0)
    }
  }

  private func connected(_ result: Result<Connection, SystemError>) {
    switch result {
    case .failure(let error): finish(.failure(Problem(description: "\(error)")))
    case .success(let connection):
      guard completion != nil else { return connection.abort() }
      self.connection = connection
      connection.delegate = self
      connection.send("GET \(url.target) HTTP/1.1\r\nHost: \(url.hostField)\r\nConnection: close\r\n\r\n")
    }
  }

  package func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    // SAFETY: the array copies the bytes during the call.
    unsafe bytes.withUnsafeBytes { unsafe self.bytes += $0 }
    if self.bytes.count > Self.maxAnswerBytes {
      finish(.failure(Problem(description: "\(url) answered more than \(Self.maxAnswerBytes) bytes")))
    }
  }

  package func connectionDidClose(_ connection: Connection, error: SystemError?) {
    if let answer = HTTPAnswer(bytes) { return finish(.success(answer)) }
    let reason = error.map { "\($0)" } ?? "it ended the connection without an HTTP answer"
    finish(.failure(Problem(description: "\(url): \(reason)")))
  }

  private func finish(_ result: Result<HTTPAnswer, Problem>) {
    guard let completion else { return }
    self.completion = nil
    timer?.cancel()
    connection?.abort()
    completion(result)
  }
}
