import Authentication
import Testing

@testable import CoordinationCore

/// The messages that `Docs/session-protocol.md` shows, byte for byte: authors of workers in other languages test theirs
/// against them, as `Clients/python/tests/test_protocol.py` does.
@Suite(.timeLimit(.minutes(5)))
struct SessionProtocolVectorTests {
  private static let result = Message(
    .taskResult,
    ["task_id": "t1", "attempt": 1, "status": "completed", "result": ["text": "line\n\u{1}é"]]
  ).body
  private static let ack = Message(.ack, ["durable": true]).body
  private static let secret = ChannelSecret(proofKey: [1, 2, 3], client: "client nonce", server: "server nonce")

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test func `messages with checksums are those of the protocol's description`() {
    let heartbeat = Message(.heartbeat, ["sequence": 1]).body
    #expect(
      Self.text(Envelope.seal(heartbeat, sequence: nil, acknowledgement: 0))
        == #"{"type":"heartbeat","sequence":1,"crc":"9c0abeb6"}"#)
    #expect(
      Self.text(Envelope.seal(Self.result, sequence: 3, acknowledgement: 2))
        == #"{"type":"task_result","task_id":"t1","attempt":1,"status":"completed","result":{"text":"line\n\u0001é"},"#
        + #""seq":3,"ack":2,"crc":"0b0f1638"}"#)
  }

  @Test func `messages with codes are those of the protocol's description`() {
    let worker = MessageAuthenticator(Self.secret, .worker)
    #expect(
      Self.text(Envelope.seal(Self.result, sequence: 3, acknowledgement: 2, worker))
        == #"{"type":"task_result","task_id":"t1","attempt":1,"status":"completed","result":{"text":"line\n\u0001é"},"#
        + #""seq":3,"ack":2,"mac":"DhR7gBpZfJV23JkhfDmaBevhUXKlP94PltJ399MmOwA"}"#)
    #expect(
      Self.text(Envelope.seal(Self.ack, sequence: nil, acknowledgement: 7, worker))
        == #"{"type":"ack","durable":true,"ack":7,"mac":"O3fgqvDUn-xdZv3tDCCP-smzkLmfhuvFpbjIUzivs4A"}"#)
    let coordinator = MessageAuthenticator(Self.secret, .coordinator)
    #expect(
      Self.text(Envelope.seal(Self.ack, sequence: nil, acknowledgement: 3, coordinator))
        == #"{"type":"ack","durable":true,"ack":3,"mac":"IFYxe68331djezymGeNLVf1-XWKBqLTmeAwJGlWjN4Q"}"#)
  }
}
