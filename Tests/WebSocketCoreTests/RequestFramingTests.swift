import Primitives
import Testing

@testable import WebSocketCore

/// Where a request ends, and what is refused because two readers might find different ends (RFC 9112 §6, §11.2).
@Suite struct RequestFramingTests {
  private static func probe(maxBodyBytes: Int = 100, answering: Bool = true) -> Probe {
    var configuration = WebSocketConfiguration()
    configuration.maxRequestBodyBytes = maxBodyBytes
    let probe = Probe(sharing: ConnectionContext(configuration, servesResources: true))
    probe.response = answering ? HTTPResponse(status: 204, body: []) : nil
    return probe
  }

  private static let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

  private static func post(_ fields: String, _ body: String = "") -> String {
    "POST /first HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n\(body)"
  }

  struct Request: Sendable, CustomTestStringConvertible {
    let what: String
    let bytes: String
    let body: String
    var testDescription: String { what }
  }

  @Test(arguments: [
    Request(what: "no body", bytes: post("X: y"), body: ""),
    Request(what: "a length", bytes: post("Content-Length: 5", "hello"), body: "hello"),
    Request(what: "a length of zero", bytes: post("Content-Length: 0"), body: ""),
    Request(what: "a length with leading zeros", bytes: post("content-length:  0005 ", "hello"), body: "hello"),
    Request(
      what: "a body that looks like a request", bytes: post("Content-Length: \(next.utf8.count)", next), body: next),
    Request(what: "one chunk", bytes: post("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"), body: "hello"),
    Request(what: "no chunk", bytes: post("Transfer-Encoding: chunked", "0\r\n\r\n"), body: ""),
    Request(
      what: "chunks, an extension and a trailer",
      bytes: post("transfer-encoding: Chunked", "2;a=\"b\"\r\nhe\r\n0003\r\nllo\r\n000\r\nX-T: 1\r\nX-U:\r\n\r\n"),
      body: "hello"),
    Request(
      what: "a size in either case",
      bytes: post("Transfer-Encoding: chunked", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
      body: "01234567890123456789"),
    Request(
      what: "a body of GET", bytes: "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", body: "hi"),
  ]) func `a request ends where it says, and the next one begins behind it`(request: Request) {
    let bytes = Array((request.bytes + Self.next).utf8)
    let whole = Self.probe()
    whole.feed(bytes)
    let byByte = Self.probe()
    byByte.feedByteByByte(bytes)
    for probe in [whole, byByte] {
      let requests = probe.seen.compactMap { if case .resourceRequested(let request) = $0 { request } else { nil } }
      #expect(requests.map { String(decoding: $0.body, as: UTF8.self) } == [request.body, ""])
      #expect(requests.last?.target == "/next")
      #expect(probe.machine.outcome == nil)
    }
  }

  struct Attack: Sendable, CustomTestStringConvertible {
    let what: String
    let bytes: String
    let status: Int
    var testDescription: String { what }
  }

  @Test(arguments: [
    // CL.TE and TE.CL: who goes by which?
    Attack(
      what: "a length and a coding", bytes: post("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG"),
      status: 400),
    Attack(
      what: "a coding and a length", bytes: post("Transfer-Encoding: chunked\r\nContent-Length: 4", "5c\r\nG"),
      status: 400),
    // CL.CL.
    Attack(what: "two lengths", bytes: post("Content-Length: 0\r\nContent-Length: 5", "hello"), status: 400),
    Attack(what: "two equal lengths", bytes: post("Content-Length: 5\r\nContent-Length: 5", "hello"), status: 400),
    Attack(what: "a list of lengths", bytes: post("Content-Length: 5, 5", "hello"), status: 400),
    Attack(what: "a signed length", bytes: post("Content-Length: +5", "hello"), status: 400),
    Attack(what: "a negative length", bytes: post("Content-Length: -1"), status: 400),
    Attack(what: "a hexadecimal length", bytes: post("Content-Length: 0x5", "hello"), status: 400),
    Attack(what: "a length with an underscore", bytes: post("Content-Length: 1_0", "0123456789"), status: 400),
    Attack(what: "a length with a blank within", bytes: post("Content-Length: 5 5", "hello"), status: 400),
    Attack(what: "an empty length", bytes: post("Content-Length:"), status: 400),
    Attack(what: "a length that no number holds", bytes: post("Content-Length: 99999999999999999999"), status: 400),
    Attack(what: "digits that are not ASCII", bytes: post("Content-Length: ٥", "hello"), status: 400),
    // TE.TE: a coding that one side does not recognise.
    Attack(what: "two codings", bytes: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), status: 400),
    Attack(
      what: "chunked beside identity", bytes: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"), status: 400),
    Attack(what: "chunked twice", bytes: post("Transfer-Encoding: chunked, chunked"), status: 501),
    Attack(what: "identity", bytes: post("Transfer-Encoding: identity"), status: 501),
    Attack(what: "gzip, chunked", bytes: post("Transfer-Encoding: gzip, chunked"), status: 501),
    Attack(what: "almost chunked", bytes: post("Transfer-Encoding: xchunked"), status: 501),
    Attack(what: "a quoted coding", bytes: post("Transfer-Encoding: \"chunked\""), status: 501),
    Attack(what: "an empty coding", bytes: post("Transfer-Encoding:"), status: 501),
    Attack(what: "a blank before the colon", bytes: post("Transfer-Encoding : chunked"), status: 400),
    Attack(what: "a blank before the name", bytes: post(" Transfer-Encoding: chunked"), status: 400),
    Attack(what: "a tab before the name", bytes: post("X: y\r\n\tTransfer-Encoding: chunked"), status: 400),
    Attack(what: "a vertical tab in the value", bytes: post("Transfer-Encoding: \u{0B}chunked"), status: 400),
    Attack(what: "a folded field", bytes: post("Transfer-Encoding:\r\n chunked"), status: 400),
    Attack(what: "a bare LF between fields", bytes: post("X: y\nTransfer-Encoding: chunked"), status: 400),
    Attack(what: "a bare CR in a value", bytes: post("X: y\rTransfer-Encoding: chunked"), status: 400),
    Attack(what: "a zero byte in a value", bytes: post("X: y\u{0}Transfer-Encoding: chunked"), status: 400),
    Attack(what: "a zero byte in a name", bytes: post("Content-Length\u{0}: 5"), status: 400),
    // Chunks.
    Attack(what: "a chunk without a size", bytes: post("Transfer-Encoding: chunked", "\r\n"), status: 400),
    Attack(what: "a size with 0x", bytes: post("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n"), status: 400),
    Attack(what: "a signed size", bytes: post("Transfer-Encoding: chunked", "+5\r\nhello\r\n0\r\n\r\n"), status: 400),
    Attack(what: "a negative size", bytes: post("Transfer-Encoding: chunked", "-1\r\n"), status: 400),
    Attack(what: "a blank before a size", bytes: post("Transfer-Encoding: chunked", " 5\r\nhello\r\n"), status: 400),
    Attack(what: "a blank behind a size", bytes: post("Transfer-Encoding: chunked", "5 \r\nhello\r\n"), status: 400),
    Attack(
      what: "a size with too many digits", bytes: post("Transfer-Encoding: chunked", "000000005\r\n"), status: 400),
    Attack(what: "a size line that ends in LF", bytes: post("Transfer-Encoding: chunked", "5\nhello\r\n"), status: 400),
    Attack(
      what: "an extension with a bare LF", bytes: post("Transfer-Encoding: chunked", "5;a\nhello\r\n"), status: 400),
    Attack(what: "an extension with a bare CR", bytes: post("Transfer-Encoding: chunked", "5;a\rb\r\n"), status: 400),
    Attack(
      what: "an extension without end",
      bytes: post("Transfer-Encoding: chunked", "5;" + String(repeating: "a", count: 300)),
      status: 400),
    Attack(
      what: "a chunk longer than its size", bytes: post("Transfer-Encoding: chunked", "2\r\nabc\r\n"), status: 400),
    Attack(
      what: "a chunk that ends in LF", bytes: post("Transfer-Encoding: chunked", "2\r\nab\n0\r\n\r\n"), status: 400),
    Attack(
      what: "a trailer that is no field", bytes: post("Transfer-Encoding: chunked", "0\r\nnonsense\r\n"), status: 400),
    Attack(
      what: "a trailer without end",
      bytes: post("Transfer-Encoding: chunked", "0\r\nX: " + String(repeating: "a", count: 20_000)), status: 431),
    // Size.
    Attack(what: "a body beyond the limit", bytes: post("Content-Length: 101"), status: 413),
    Attack(
      what: "chunks beyond the limit",
      bytes: post("Transfer-Encoding: chunked", String(repeating: "10\r\n0123456789abcdef\r\n", count: 7)), status: 413),
    // A second request line.
    Attack(what: "a request line with a CR", bytes: "GET / HTTP/1.1\rX: y\r\nHost: a\r\n\r\n", status: 400),
    Attack(what: "an empty line before", bytes: "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", status: 400),
    Attack(
      what: "a version below", bytes: "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", status: 505),
    Attack(what: "a version that is none", bytes: "GET / HTTP/1.1x\r\nHost: a\r\n\r\n", status: 505),
    Attack(what: "a target with a blank", bytes: "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", status: 400),
  ]) func `what leaves room for a second opinion is refused, and nothing behind it is served`(attack: Attack) {
    let bytes = Array((attack.bytes + Self.next).utf8)
    let whole = Self.probe()
    whole.feed(bytes)
    let byByte = Self.probe()
    byByte.feedByteByByte(bytes)
    for probe in [whole, byByte] {
      #expect(probe.seen == [.transport(.close)])
      #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 \(attack.status) "))
      #expect(String(decoding: probe.output, as: UTF8.self).contains("\r\nConnection: close\r\n"))
    }
  }

  @Test func `a request behind a good one is judged as strictly`() {
    let probe = Self.probe()
    probe.feed(Array((Self.next + Self.post("Content-Length: 1\r\nTransfer-Encoding: chunked", "0\r\n\r\n")).utf8))
    #expect(probe.seen.count == 2)
    #expect(probe.seen.last == .transport(.close))
    #expect(String(decoding: probe.output, as: UTF8.self).contains("HTTP/1.1 400 Bad Request\r\n"))
  }

  @Test func `who waits to be asked for a body is asked once, unless it is too long`() {
    let probe = Self.probe()
    probe.feed(Array(Self.post("Content-Length: 5\r\nExpect: 100-Continue").utf8))
    #expect(String(decoding: probe.takeOutput(), as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n")
    probe.feed(Array("hello".utf8))
    #expect(String(decoding: probe.output, as: UTF8.self) == "HTTP/1.1 204 No Content\r\n\r\n")
    let tooLong = Self.probe()
    tooLong.feed(Array(Self.post("Content-Length: 500\r\nExpect: 100-continue").utf8))
    #expect(String(decoding: tooLong.output, as: UTF8.self).hasPrefix("HTTP/1.1 413 "))
  }
}
