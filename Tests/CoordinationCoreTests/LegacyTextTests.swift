import Authentication
import Primitives
import Testing

@testable import CoordinationCore

/// What the reference's enhanced worker does to its messages. Signatures and envelopes were made by Python's `json`,
/// `hmac` and `zlib`, as the reference makes them.
@Suite(.timeLimit(.minutes(5)))
struct LegacyTextTests {
  /// Of the key `a-legacy-key-1`.
  private static let digest = "Wl0ZpBOhDtWmQzS6xg08TWcP23dUuRPUThQuWOM987o="

  private static let heartbeat =
    #"{"type": "heartbeat", "worker_id": "w1", "timestamp": "2026-11-25T10:00:00", "sequence": 1, "active_tasks": [], "#
    + #""signature": "tPx/GpPWFPp2VXbO0mrNzZKlWoz10GwduzrnhlSfNQw="}"#

  private static let signed = [
    heartbeat,
    // Numbers as Python writes them, characters beyond ASCII, and members out of order at every depth.
    #"{"type": "task_result", "worker_id": "w1", "task_id": "t", "result": {"z": 1.0, "a": 1e+16, "\u00e9": "#
      + #""Gr\u00fc\u00dfe \ud83d\ude00", "b": [1, 2.5e-07, null, true, {}], "nested": {"y": "\n", "x": "\""}}, "#
      + #""signature": "tePToeuwz/+ll8yo5sxGkKRn1J13mlYKkSCRUDqfJCE="}"#,
    // The order is that of code points, not of UTF-16's units; and an integer of any length stays what it is.
    #"{"type": "telemetry", "worker_id": "w", "metrics": {}, "queue_status": {"\ud83d\ude00": 1, "\uffff": 2}, "#
      + #""connection_stats": {"big": 12345678901234567890}, "#
      + #""signature": "szQI3EJvE8M1GFlO/yICwZ3po23nSM6sH/YVBAlS5dg="}"#,
  ]

  /// A result of 1,679 bytes.
  private static let data =
    "eJyrViqpLEhVslJQKkkszo4vSi0uzSlR0lFQKs8vyk4tis9MAcmVG4KESjJzU4tLEnMLQEJGBkZmuoaGukamIYYGVgYgBFYDMgWiCWwM1EArhWqlktQK"
    + "EEOpYhSMglEwCkbBsANKtcAyvzgzPS+xpLQIXK14WqRkpPgUOaW5lVZ6aGcWeIYUJvmlBabmmHq7ZqcYmxVaWqYZZTq5hFUU2yrVAgCtTfVr"

  @Test(arguments: signed)
  func `a signature that Python made is right`(text: String) throws {
    try LegacyText.verify(Array(text.utf8), digest: Self.digest)
  }

  @Test func `white space and the order of members are not signed`() throws {
    let text =
      #" {"signature":"tPx/GpPWFPp2VXbO0mrNzZKlWoz10GwduzrnhlSfNQw=","sequence":1 ,"active_tasks":[ ],"type":"heartbeat","#
      + #""timestamp":"2026-11-25T10:00:00","worker_id":"w1"}"#
    try LegacyText.verify(Array(text.utf8), digest: Self.digest)
  }

  @Test(
    arguments: [
      ("\"sequence\": 1", "\"sequence\": 2", .badCode), ("\"w1\"", "\"w2\"", .badCode),
      ("\"sequence\": 1", "\"sequence\": 1.0", .badCode), ("tPx/", "tPx0", .badCode),
      (", \"signature\": \"tPx/GpPWFPp2VXbO0mrNzZKlWoz10GwduzrnhlSfNQw=\"", "", .missingField("signature")),
      (
        "tPx/GpPWFPp2VXbO0mrNzZKlWoz10GwduzrnhlSfNQw=", "tPx/",
        .badValue("signature", problem: "it is not base64 of 32 bytes")
      ),
    ] as [(String, String, MessageError)])
  func `what was changed, or is not signed, is refused`(old: String, new: String, error: MessageError) throws {
    let place = try #require(Self.heartbeat.firstRange(of: old))
    let text = Self.heartbeat.replacingCharacters(in: place, with: new)
    #expect(throws: error) { try LegacyText.verify(Array(text.utf8), digest: Self.digest) }
  }

  @Test func `another key's signature is refused`() {
    let other = "AAAZpBOhDtWmQzS6xg08TWcP23dUuRPUThQuWOM987o="
    #expect(throws: MessageError.badCode) { try LegacyText.verify(Array(Self.heartbeat.utf8), digest: other) }
  }

  // MARK: The envelope

  private func envelope(_ size: String, _ data: String) -> [UInt8] {
    Array(#"{"compressed": true, "original_size": \#(size), "compressed_size": 168, "data": "\#(data)"}"#.utf8)
  }

  @Test func `a compressed envelope is opened, and its signature is inside`() throws {
    let bytes = try LegacyText.unwrapped(envelope("1679", Self.data), limit: 1 << 20)
    #expect(bytes.count == 1_679)
    try LegacyText.verify(bytes, digest: Self.digest)
    #expect(try Envelope.open(bytes, mode: .legacy).kind == .taskResult)
  }

  @Test func `what is no envelope stays as it is`() throws {
    for text in [
      Self.heartbeat, "", "{}", "\"compressed\"", #"{"compressed": false}"#, #"{"compressed": true, "type": "x"}"#,
    ] {
      #expect(try LegacyText.unwrapped(Array(text.utf8), limit: 10) == Array(text.utf8))
    }
  }

  @Test(arguments: ["1678", "1680", "0", "1048577", "-1", "99999999999", "\"1679\"", "null"])
  func `an envelope that lies about its size is refused, and never takes more than a message may`(size: String) {
    #expect(throws: MessageError.self) { try LegacyText.unwrapped(self.envelope(size, Self.data), limit: 1 << 20) }
  }

  @Test(arguments: ["", "!!!!", "AAAA", String(data.dropLast(4)), String(data.reversed())])
  func `an envelope whose data is none is refused`(data: String) {
    #expect(throws: MessageError.self) { try LegacyText.unwrapped(self.envelope("1679", data), limit: 1 << 20) }
  }

  // MARK: The coordinator

  @Test func `a worker that signed its upgrade must sign its messages, and loses nothing else by one that is wrong`()
    throws
  {
    let bench = try CoordinatorBench()
    bench.handle(
      .connected(
        ConnectionID(1), WorkerID(known: "w1"), .legacy, remoteAddress: "peer",
        security: .signedAsReference(digest: Self.digest)))
    _ = bench.replies(1)
    bench.say(1, #"{"type":"registration","worker_id":"w1","capabilities":{}}"#)
    #expect(bench.replies(1) == [["type": "error", "message": "message refused: the field signature is missing"]])
    bench.say(1, Self.heartbeat)
    #expect(bench.replies(1) == [["type": "heartbeat", "response_to": 1]])
    #expect(bench.closes.isEmpty)
  }

  @Test func `a compressed result of an unsigned worker is taken too`() throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "w1", .legacy)
    _ = bench.replies(1)
    bench.say(1, String(decoding: envelope("1679", Self.data), as: UTF8.self))
    #expect(bench.logs.allSatisfy { $0.message != "message refused" })
  }
}

extension String {
  fileprivate func replacingCharacters(in range: Range<Index>, with text: String) -> String {
    String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
  }
}
