import Authentication
import Testing

@testable import CoordinationCore

@Suite(.timeLimit(.minutes(5)))
struct MessageAuthenticatorTests {
  private static let secret = ChannelSecret(proofKey: [1, 2, 3], client: "client nonce", server: "server nonce")
  private static let body = Message(.taskResult, ["task_id": "t1", "attempt": 1, "text": "line\n\u{1}é"]).body

  private let worker = MessageAuthenticator(secret, .worker)
  private let coordinator = MessageAuthenticator(secret, .coordinator)

  @Test(arguments: [(nil, 0), (1, 0), (nil, 7), (2, 9), (UInt64(Int64.max), UInt64(Int64.max))] as [(UInt64?, UInt64)])
  func `what is signed is opened with its number and acknowledgement`(sequence: UInt64?, acknowledgement: UInt64) throws
  {
    for _ in 0..<3 {
      let bytes = Envelope.seal(Self.body, sequence: sequence, acknowledgement: acknowledgement, worker)
      let message = try Envelope.open(bytes, mode: .session, coordinator)
      #expect(message.sequence == sequence)
      #expect(message.acknowledgement == (acknowledgement == 0 ? nil : acknowledgement))
      #expect(message.body == Self.body)
    }
  }

  @Test func `a change of any byte is noticed`() {
    let sealed = Envelope.seal(Self.body, sequence: 3, acknowledgement: 2, worker)
    for index in sealed.indices {
      for bit in 0..<8 {
        var bytes = sealed
        bytes[index] ^= 1 << UInt8(bit)
        let fresh = MessageAuthenticator(Self.secret, .coordinator)
        #expect(throws: MessageError.self) { try Envelope.open(bytes, mode: .session, fresh) }
      }
    }
  }

  @Test func `a message that comes again is refused`() throws {
    let bytes = Envelope.seal(Self.body, sequence: 1, acknowledgement: 0, worker)
    _ = try Envelope.open(bytes, mode: .session, coordinator)
    #expect(throws: MessageError.badCode) { try Envelope.open(bytes, mode: .session, coordinator) }
  }

  @Test func `messages that changed their order are refused`() {
    let first = Envelope.seal(Self.body, sequence: 1, acknowledgement: 0, worker)
    let second = Envelope.seal(Self.body, sequence: 2, acknowledgement: 0, worker)
    #expect(throws: MessageError.badCode) { try Envelope.open(second, mode: .session, coordinator) }
    _ = first
  }

  @Test func `a message of the other direction is refused`() {
    let bytes = Envelope.seal(Self.body, sequence: 1, acknowledgement: 0, worker)
    #expect(throws: MessageError.badCode) { try Envelope.open(bytes, mode: .session, worker) }
  }

  @Test(arguments: [("client nonce", "other"), ("other", "server nonce")])
  func `a message of another connection is refused`(client: String, server: String) {
    let other = MessageAuthenticator(ChannelSecret(proofKey: [1, 2, 3], client: client, server: server), .worker)
    let bytes = Envelope.seal(Self.body, sequence: 1, acknowledgement: 0, other)
    #expect(throws: MessageError.badCode) { try Envelope.open(bytes, mode: .session, coordinator) }
  }

  @Test func `a truncated code, a checksum in its place, and nothing at all are refused`() throws {
    let sealed = Envelope.seal(Self.body, sequence: 1, acknowledgement: 0, worker)
    let text = try #require(String(validating: sealed, as: UTF8.self))
    let short = Array((text.dropLast(3) + "\"}").utf8)
    for bytes in [short, Envelope.seal(Self.body, sequence: 1, acknowledgement: 0), Self.body, [], Array("{}".utf8)] {
      #expect(throws: MessageError.missingField("mac")) { try Envelope.open(bytes, mode: .session, coordinator) }
    }
  }

  @Test func `without a key a code is no checksum`() {
    let bytes = Envelope.seal(Self.body, sequence: 1, acknowledgement: 0, worker)
    #expect(throws: MessageError.missingField("crc")) { try Envelope.open(bytes, mode: .session) }
  }
}
