import CoordinationCore
import Testing

struct SessionStateTests {
  private func session(_ limits: Outbox.Limits = Outbox.Limits()) throws -> SessionState {
    SessionState(id: try SessionID("s"), limits: limits)
  }

  private func body(_ number: Int) -> [UInt8] { Message("m", ["n": .integer(Int64(number))]).body }

  @Test
  func `numbers start at one and replay repeats them in order`() throws {
    var session = try session()
    let numbers = (1...5).map { session.outbox.append(body($0)).sequence }
    #expect(numbers == [1, 2, 3, 4, 5])
    let isSound = session.outbox.acknowledge(upTo: 2)
    #expect(isSound)
    let replayed = try session.replay().map { try Envelope.open($0, mode: .session) }
    #expect(replayed.map(\.sequence) == [3, 4, 5])
    #expect(replayed.map { $0.fields["n"]?.integer } == [3, 4, 5])
    let next = session.outbox.append(body(6)).sequence
    #expect(next == 6)
  }

  @Test
  func `an acknowledgement of what was never sent changes nothing`() throws {
    var outbox = Outbox()
    _ = outbox.append(body(1))
    let isSound = outbox.acknowledge(upTo: 2)
    #expect(!isSound && outbox.count == 1)
    let isSoundNow = outbox.acknowledge(upTo: 1)
    #expect(isSoundNow && outbox.isEmpty && outbox.bytes == 0)
  }

  @Test
  func `an old acknowledgement is harmless and each entry is forgotten once`() throws {
    var outbox = Outbox()
    for number in 1...10 { _ = outbox.append(body(number), key: "k\(number)") }
    var forgotten: [String?] = []
    for sequence: UInt64 in [3, 1, 3, 0, 7, 10, 10] {
      let isSound = outbox.acknowledge(upTo: sequence) { forgotten.append($0.key) }
      #expect(isSound)
    }
    #expect(forgotten == (1...10).map { "k\($0)" })
  }

  @Test
  func `the outbox is full at its number of messages, and answers at four times that`() throws {
    var outbox = Outbox(limits: Outbox.Limits(maxMessages: 2, maxBytes: 1_000_000))
    var room: [Bool] = []
    var roomForAnswers: [Bool] = []
    for number in 1...9 {
      room.append(outbox.hasRoom)
      roomForAnswers.append(outbox.hasRoomForAnswer)
      _ = outbox.append(body(number))
    }
    #expect(room == [true, true] + Array(repeating: false, count: 7))
    #expect(roomForAnswers == Array(repeating: true, count: 8) + [false])
    let isSound = outbox.acknowledge(upTo: 8)
    #expect(isSound && outbox.hasRoom)
  }

  @Test
  func `the outbox is full at its bytes, and takes one message however long when empty`() throws {
    var outbox = Outbox(limits: Outbox.Limits(maxMessages: 100, maxBytes: 10))
    #expect(outbox.hasRoom)
    _ = outbox.append(body(1))
    #expect(!outbox.hasRoom)
    let isSound = outbox.acknowledge(upTo: 1)
    #expect(isSound && outbox.hasRoom)
  }

  @Test
  func `each number is new once, in order, and a gap is named`() throws {
    var session = try session()
    let numbers: [UInt64] = [1, 1, 3, 2, 3, 1, .max]
    let arrivals = numbers.map { session.arrive($0) }
    #expect(
      arrivals == [.new, .duplicate, .gap(expected: 2), .new, .new, .duplicate, .gap(expected: 4)])
    #expect(session.handled == 3)
  }

  @Test
  func `only what is durable is acknowledged, and only once`() throws {
    var session = try session()
    for number: UInt64 in 1...3 { _ = session.arrive(number) }
    #expect(!session.owesAcknowledgement)
    let early = session.seal(body(1), sequence: nil)
    #expect(try Envelope.open(early, mode: .session).acknowledgement == nil)
    session.markDurable(upTo: 2)
    #expect(session.owesAcknowledgement)
    let later = session.seal(body(1), sequence: nil)
    #expect(try Envelope.open(later, mode: .session).acknowledgement == 2)
    #expect(!session.owesAcknowledgement)
    session.markDurable(upTo: 1)
    session.markDurable(upTo: 99)
    #expect(session.durable == 3)
  }
}
