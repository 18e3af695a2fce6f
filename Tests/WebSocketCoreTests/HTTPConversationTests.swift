import Primitives
import Testing

@testable import WebSocketCore

/// Requests of one connection one after another, and answers in pieces.
@Suite struct HTTPConversationTests {
  private func probe(answering: Bool = false, _ change: (inout WebSocketConfiguration) -> Void = { _ in }) -> Probe {
    var configuration = WebSocketConfiguration()
    change(&configuration)
    let probe = Probe(sharing: ConnectionContext(configuration, servesResources: true))
    probe.response = answering ? Self.response("yes") : nil
    return probe
  }

  private static func response(_ text: String) -> HTTPResponse {
    HTTPResponse(contentType: "text/plain", body: Array(text.utf8))
  }

  private func get(_ path: String, _ method: String = "GET") -> [UInt8] {
    Array("\(method) \(path) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
  }

  private func targets(_ probe: Probe) -> [String] {
    probe.seen.compactMap { if case .resourceRequested(let request) = $0 { request.target } else { nil } }
  }

  private func answer(_ probe: Probe, _ text: String) {
    if let action = probe.machine.answer(Self.response(text), at: probe.now, into: &probe.output) {
      probe.seen.append(.transport(action))
    }
    probe.goOn()
  }

  @Test func `requests that come together are answered in their order, one at a time`() {
    let probe = probe()
    probe.feed(get("/1") + get("/2") + get("/3"), chunks: [50, 7])
    #expect(targets(probe) == ["/1"])
    answer(probe, "one")
    #expect(targets(probe) == ["/1", "/2"])
    answer(probe, "two")
    answer(probe, "three")
    let output = String(decoding: probe.output, as: UTF8.self)
    #expect(output.split(separator: "\r\n").filter { !$0.contains(": ") && !$0.hasPrefix("HTTP/") }.count == 3)
    #expect(output.contains("\r\n\r\noneHTTP/1.1 200 OK\r\n"))
    #expect(output.hasSuffix("\r\n\r\nthree"))
    #expect(probe.machine.outcome == nil)
  }

  @Test func `a client that ends its half behind its requests still gets every answer`() {
    let probe = probe()
    probe.feed(get("/1") + get("/2"))
    #expect(probe.machine.endOfStream() == nil)
    answer(probe, "one")
    #expect(targets(probe) == ["/1", "/2"])
    answer(probe, "two")
    #expect(probe.seen.last == .transport(.close))
    #expect(probe.machine.outcome?.failure == nil)
  }

  @Test func `the end in the middle of a request is a failure, between requests it is none`() {
    let between = probe(answering: true)
    between.feed(get("/1"))
    #expect(between.machine.endOfStream() == .close)
    #expect(between.machine.outcome?.failure == nil)
    let within = probe(answering: true)
    within.feed(get("/1") + Array("GET".utf8))
    #expect(within.machine.endOfStream() == .close)
    #expect(within.machine.outcome?.failure == .endOfStream(during: .handshake))
  }

  @Test func `a connection may become a WebSocket behind ordinary requests`() throws {
    let probe = probe(answering: true)
    probe.feed(get("/1") + Array(validRequest.utf8))
    #expect(probe.isOpen)
  }

  @Test func `nothing is read while answers wait to be written`() {
    let probe = probe(answering: true)
    probe.feed(get("/1"))
    probe.machine.holdBackRequests(true)
    probe.feed(get("/2") + get("/3"))
    #expect(targets(probe) == ["/1"])
    #expect(probe.machine.hasFullBacklog == false)
    probe.feed([UInt8](repeating: 0x47, count: 65_536))
    #expect(probe.machine.hasFullBacklog == true)
    probe.machine.holdBackRequests(false)
    probe.goOn()
    #expect(targets(probe) == ["/1", "/2", "/3"])
  }

  // MARK: Pieces

  @Test func `an answer in pieces is chunked, and the next request comes behind its end`() {
    let probe = probe()
    probe.feed(get("/log") + get("/2"))
    let begun = probe.machine.beginStream(Self.response("a"), into: &probe.output)
    #expect(begun)
    let begunAgain = probe.machine.beginStream(Self.response("again"), into: &probe.output)
    #expect(!begunAgain)
    probe.machine.appendToStream(Array("bcdefghijklmnopq".utf8), into: &probe.output)
    probe.machine.appendToStream([], into: &probe.output)
    #expect(probe.machine.answer(Self.response("too late"), at: .zero, into: &probe.output) == nil)
    #expect(targets(probe) == ["/log"])
    #expect(probe.machine.deadline == .distantFuture)
    #expect(probe.machine.endStream(at: .zero, into: &probe.output) == nil)
    probe.goOn()
    #expect(
      String(decoding: probe.takeOutput(), as: UTF8.self)
        == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "1\r\na\r\n10\r\nbcdefghijklmnopq\r\n0\r\n\r\n")
    #expect(targets(probe) == ["/log", "/2"])
  }

  @Test func `HEAD gets the head of an answer in pieces and nothing more`() {
    let probe = probe()
    probe.feed(get("/log", "HEAD"))
    let begun = probe.machine.beginStream(Self.response("a"), into: &probe.output)
    #expect(begun)
    probe.machine.appendToStream([1], into: &probe.output)
    #expect(probe.machine.endStream(at: .zero, into: &probe.output) == nil)
    #expect(
      String(decoding: probe.output, as: UTF8.self)
        == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
  }

  @Test func `a client that goes ends what is streamed to it`() {
    let probe = probe()
    probe.feed(get("/log"))
    let begun = probe.machine.beginStream(Self.response(""), into: &probe.output)
    #expect(begun)
    #expect(probe.machine.endOfStream() == .close)
    #expect(probe.machine.outcome?.failure == nil)
    let sent = probe.output.count
    probe.machine.appendToStream([1], into: &probe.output)
    #expect(probe.machine.endStream(at: .zero, into: &probe.output) == nil)
    #expect(probe.output.count == sent)
  }

  // MARK: Time

  @Test func `a connection without a next request ends quietly`() {
    let probe = probe(answering: true) { $0.keepAliveTimeout = .seconds(7) }
    probe.feed(get("/1"))
    #expect(probe.machine.deadline == .zero + .seconds(7))
    probe.output = []
    #expect(
      probe.machine.timerFired(at: .zero + .seconds(7), outboundIsEmpty: true, into: &probe.output) == .close)
    #expect(probe.output.isEmpty)
    #expect(probe.machine.outcome?.failure == nil)
  }

  @Test func `a request that drips in has its time from its first byte to its end`() {
    let probe = probe(answering: true) { $0.requestTimeout = .seconds(3) }
    probe.feed(get("/1"))
    probe.now = .zero + .seconds(20)
    probe.feed(Array("POST".utf8))
    #expect(probe.machine.deadline == .zero + .seconds(23))
    probe.now = .zero + .seconds(22)
    probe.feed(Array(" / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1".utf8))
    #expect(probe.machine.deadline == .zero + .seconds(25))
    probe.output = []
    #expect(
      probe.machine.timerFired(at: .zero + .seconds(25), outboundIsEmpty: true, into: &probe.output) == .close)
    #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 408 "))
  }

  // MARK: Closing

  @Test func `a server that closes ends idle connections at once and lets answers leave`() {
    let idle = probe(answering: true)
    idle.feed(get("/1"))
    #expect(idle.machine.close(.goingAway, at: .zero, into: &idle.output) == .close)
    #expect(idle.machine.outcome?.failure == nil)
    let busy = probe { $0.closeTimeout = .seconds(2) }
    busy.feed(get("/1") + get("/2"))
    #expect(busy.machine.close(.goingAway, at: .zero, into: &busy.output) == nil)
    #expect(busy.machine.deadline == .zero + .seconds(2))
    answer(busy, "last")
    #expect(busy.seen.last == .transport(.close))
    #expect(String(decoding: busy.output, as: UTF8.self).contains("\r\nConnection: close\r\n"))
    #expect(targets(busy) == ["/1"])
  }

  @Test func `an answer has one word about its end, whatever the application adds`() {
    let probe = probe()
    probe.response = HTTPResponse(
      headers: ["Content-Length": "7", "transfer-encoding": "chunked", "Connection": "upgrade", "X-A": "b"], body: [1])
    probe.feed(get("/"))
    #expect(
      String(decoding: probe.output.dropLast(), as: UTF8.self)
        == "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\nX-A: b\r\n\r\n")
  }
}
