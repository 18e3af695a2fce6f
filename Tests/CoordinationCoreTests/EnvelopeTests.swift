@testable import CoordinationCore
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct EnvelopeTests {
  private static let message = Message(.taskResult, ["task_id": "t1", "attempt": 1, "text": "line\n\u{1}é"])

  @Test(arguments: [(nil, 0), (1, 0), (nil, 7), (2, 9), (UInt64(Int64.max), UInt64(Int64.max))] as [(UInt64?, UInt64)])
  func `what is sealed is opened with its number and acknowledgement`(sequence: UInt64?, acknowledgement: UInt64) throws
  {
    let bytes = Envelope.seal(Self.message.body, sequence: sequence, acknowledgement: acknowledgement)
    let opened = try Envelope.open(bytes, mode: .session)
    #expect(opened.kind == Self.message.kind)
    #expect(opened.fields == Self.message.fields)
    #expect(opened.sequence == sequence)
    #expect(opened.acknowledgement == (acknowledgement == 0 ? nil : acknowledgement))
  }

  @Test
  func `every changed byte of a sealed message is noticed`() {
    let bytes = Envelope.seal(Self.message.body, sequence: 3, acknowledgement: 4)
    for index in bytes.indices {
      for value in UInt8.min...UInt8.max where value != bytes[index] {
        var changed = bytes
        changed[index] = value
        if (try? Envelope.open(changed, mode: .session)) != nil {
          Issue.record("byte \(index) changed from \(bytes[index]) to \(value)")
          return
        }
      }
    }
  }

  @Test
  func `a sealed message cut or extended anywhere is refused`() {
    let bytes = Envelope.seal(Self.message.body, sequence: 3, acknowledgement: 4)
    for count in 0..<bytes.count {
      #expect(throws: MessageError.self) { try Envelope.open(Array(bytes[..<count]), mode: .session) }
    }
    #expect(throws: MessageError.self) { try Envelope.open(bytes + [0x20], mode: .session) }
  }

  @Test
  func `a message without a checksum is refused in a session and taken in legacy mode`() throws {
    #expect(throws: MessageError.missingField("crc")) { try Envelope.open(Self.message.body, mode: .session) }
    #expect(try Envelope.open(Self.message.body, mode: .legacy) == Self.message)
  }

  @Test
  func `a sealed message read in legacy mode keeps the envelope's members as its own`() throws {
    let bytes = Envelope.seal(Self.message.body, sequence: 3, acknowledgement: 4)
    let opened = try Envelope.open(bytes, mode: .legacy)
    #expect(opened.sequence == nil && opened.acknowledgement == nil)
    #expect(opened.fields["seq"] == 3 && opened.fields["ack"] == 4)
  }

  @Test
  func `a member named like one of the envelope's cannot pass for it`() throws {
    let message = Message("mine", ["seq": 9, "ack": 9, "crc": "x", "type": "other", "kept": true])
    let opened = try Envelope.open(Envelope.seal(message.body, sequence: nil, acknowledgement: 0), mode: .session)
    #expect(opened == Message("mine", ["kept": true]))
  }

  @Test(arguments: [
    ("[]", MessageError.notAnObject(found: "an array")), ("1", .notAnObject(found: "an integer")),
    ("{}", .missingField("type")), (#"{"type":1}"#, .wrongType("type", expected: "a string", found: "an integer")),
    (#"{"type":"\#(String(repeating: "x", count: 65))"}"#, .badValue("type", problem: "longer than 64 bytes")),
    ("{", .notJSON(JSONError(problem: .unexpectedEnd, offset: 1))),
  ])
  func `a bad message is refused with what is wrong`(text: String, error: MessageError) {
    #expect(throws: error) { try Envelope.open(Array(text.utf8), mode: .legacy) }
  }

  @Test(arguments: ["0", "-1", "1.5", "\"1\"", "null"])
  func `a number in a session is a positive integer`(value: String) {
    let body = Array("{\"type\":\"x\",\"seq\":\(value)}".utf8)
    let error = #expect(throws: MessageError.self) {
      try Envelope.open(Envelope.seal(body, sequence: nil, acknowledgement: 0), mode: .session)
    }
    guard case .wrongType("seq", _, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test
  func `random bytes are refused in a session`() {
    let seed = freshSeed()
    var random = SeededGenerator(seed: seed)
    print(replayCommand(seed, "EnvelopeTests"))
    for _ in 0..<2_000 {
      let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        UInt8.random(in: .min ... .max, using: &random)
      }
      #expect(throws: MessageError.self) { try Envelope.open(bytes, mode: .session) }
    }
  }

  @Test(arguments: 0..<20)
  func `base64 gives back every length of bytes`(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 200) }
    #expect(Base64.decode(Base64.encode(bytes)) == bytes)
  }

  @Test(arguments: ["A", "AA", "AAA", "====", "A===", "AA=A", "=AAA", "AA\nA", "AAAA=", "ÄÄ==", "AA==AAAA"])
  func `what is not base64 is refused`(text: String) { #expect(Base64.decode(text) == nil) }

  @Test(arguments: [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("+/+/", "\u{fb}\u{ff}\u{bf}")])
  func `the vectors of RFC 4648 hold`(text: String, plain: String) {
    #expect(Base64.decode(text) == plain.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })
  }
}
