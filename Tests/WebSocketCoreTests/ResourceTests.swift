import Primitives
import Testing

@testable import WebSocketCore

@Suite struct ResourceTests {
  private func probe(answering response: HTTPResponse? = HTTPResponse(contentType: "text/plain", body: [0x68, 0x69]))
    -> Probe
  {
    let probe = Probe(sharing: ConnectionContext(.init(), servesResources: true))
    probe.response = response
    return probe
  }

  private func head(_ lines: String...) -> [UInt8] { Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) }

  @Test func `an ordinary GET is answered with status, fields and body, and the connection stays`() {
    let probe = probe()
    probe.feed(head("GET /metrics HTTP/1.1", "Host: a"))
    #expect(
      String(decoding: probe.output, as: UTF8.self)
        == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi")
    #expect(probe.machine.outcome == nil)
  }

  @Test func `a client that asks for it has its connection closed behind the answer`() {
    let probe = probe()
    probe.feed(head("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, close") + Array("garbage".utf8))
    #expect(
      String(decoding: probe.output, as: UTF8.self)
        == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    #expect(probe.seen.last == .transport(.close))
    #expect(probe.machine.outcome == CloseOutcome(code: .normal, text: "", failure: nil))
  }

  @Test func `HEAD gets the fields of GET and no body`() {
    let probe = probe()
    probe.feedByteByByte(head("HEAD /metrics HTTP/1.1", "Host: a"))
    let answer = String(decoding: probe.output, as: UTF8.self)
    #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(answer.contains("Content-Length: 2\r\n"))
    #expect(answer.hasSuffix("\r\n\r\n"))
  }

  @Test func `the request says what was asked for`() throws {
    let probe = probe()
    probe.feed(head("GET http://A/b%20c?d=e?f HTTP/1.1", "Host: a", "Authorization: Bearer k", "X-A: 1", "X-A: 2"))
    guard case .resourceRequested(let request)? = probe.seen.first else {
      Issue.record("no request in \(probe.seen)")
      return
    }
    #expect(request.method == .get)
    #expect(request.target == "/b%20c?d=e?f")
    #expect(request.path == "/b%20c")
    #expect(request.query == "d=e?f")
    #expect(request.host == "a")
    #expect(request.headers["authorization"] == "Bearer k")
    #expect(request.headers.values("x-a") == ["1", "2"])
  }

  @Test func `an answer may come later, and the client may have ended its half by then`() {
    let probe = probe(answering: nil)
    probe.feed(head("GET / HTTP/1.1", "Host: a"))
    #expect(probe.machine.endOfStream() == nil)
    #expect(probe.output.isEmpty)
    #expect(probe.machine.answer(HTTPResponse(status: 404, message: "nothing"), at: .zero, into: &probe.output) == nil)
    #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 404 Not Found\r\n"))
    probe.goOn()
    #expect(probe.seen.last == .transport(.close))
    #expect(probe.machine.outcome == CloseOutcome(code: .normal, text: "", failure: nil))
    #expect(probe.machine.answer(HTTPResponse(body: []), at: .zero, into: &probe.output) == nil)
  }

  @Test func `an answer that does not come in time is a 503`() {
    let probe = probe(answering: nil)
    probe.feed(head("GET / HTTP/1.1", "Host: a"))
    probe.now = .zero + probe.machine.configuration.answerTimeout
    let action = probe.machine.timerFired(at: probe.now, outboundIsEmpty: true, into: &probe.output)
    #expect(action == .close)
    #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 503 "))
    #expect(probe.machine.answer(HTTPResponse(body: []), at: probe.now, into: &probe.output) == nil)
  }

  @Test(arguments: [
    ("TRACE / HTTP/1.1\r\nHost: a", 405), ("CONNECT a:1 HTTP/1.1\r\nHost: a", 405), ("GET / HTTP/1.1", 400),
    ("get / HTTP/1.1\r\nHost: a", 405), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
    ("GET http://b/ HTTP/1.1\r\nHost: a", 400), ("GET http://u@a/ HTTP/1.1\r\nHost: a", 400),
    ("GET / HTTP/1.0\r\nHost: a", 505), ("POST / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle", 417),
    ("GET a HTTP/1.1\r\nHost: a", 400), ("GET /a#b HTTP/1.1\r\nHost: a", 400), ("GET  / HTTP/1.1\r\nHost: a", 400),
  ]) func `what is no ordinary request is refused`(lines: String, status: Int) {
    let probe = probe()
    probe.feed(head(lines))
    #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 \(status) "))
    #expect(probe.machine.outcome?.failure != nil)
  }

  @Test func `a refused method is told which ones there are`() {
    let probe = probe()
    probe.feed(head("TRACE / HTTP/1.1", "Host: a"))
    #expect(
      String(decoding: probe.output, as: UTF8.self).contains(
        "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"))
  }

  @Test func `an upgrade is one beside resources too`() {
    let probe = probe()
    probe.feed(Array(validRequest.utf8))
    #expect(probe.isOpen)
  }

  @Test func `without resources an ordinary request is refused as ever`() {
    for (line, status) in [("GET / HTTP/1.1", 426), ("HEAD / HTTP/1.1", 405)] {
      let probe = Probe()
      probe.feed(head(line, "Host: a"))
      #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 \(status) "))
    }
  }

  @Test func `a head beyond the limit is refused with 431`() {
    let probe = probe()
    probe.feed(Array("GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n".utf8))
    #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 431 "))
  }

  @Test func `a value in a field cannot smuggle another one in`() {
    let probe = probe(answering: HTTPResponse(headers: ["X-A": "b"], contentType: "text/plain\r\nX-B: c", body: []))
    probe.feed(head("GET / HTTP/1.1", "Host: a"))
    #expect(!String(decoding: probe.output, as: UTF8.self).contains("X-B"))
  }
}
