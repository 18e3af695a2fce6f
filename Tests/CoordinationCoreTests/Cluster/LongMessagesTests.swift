import CoordinationCore
import Testing

@Suite struct LongMessagesTests {
  private let a = MemberID(1)
  private let b = MemberID(2)

  @Test func `what fits goes as it is`() {
    var messages = LongMessages()
    #expect(messages.parts(of: "{}", atMost: 200) == ["{}"])
    #expect(messages.take("{}", from: a) == "{}")
  }

  @Test(arguments: [201, 1_000, 70_000])
  func `a longer one goes in parts that fit, and is whole at the end`(_ count: Int) {
    var (sender, receiver) = (LongMessages(), LongMessages())
    let letters = Array("aé✓🚗\r\n")
    let text = String((0..<count).map { letters[$0 * 7 % letters.count] })
    for _ in 0..<2 {
      let parts = sender.parts(of: text, atMost: 200)
      #expect(parts.allSatisfy { $0.utf8.count <= 200 })
      let results = parts.map { receiver.take($0, from: a) }
      #expect(results.dropLast().allSatisfy { $0 == nil })
      #expect(results.last??.utf8.elementsEqual(text.utf8) == true)
    }
  }

  @Test func `parts of two senders do not mix`() {
    var (first, second, receiver) = (LongMessages(), LongMessages(), LongMessages())
    let texts = (String(repeating: "x", count: 500), String(repeating: "y", count: 500))
    let parts = zip(first.parts(of: texts.0, atMost: 200), second.parts(of: texts.1, atMost: 200))
    var whole: [String] = []
    for (left, right) in parts {
      if let text = receiver.take(left, from: a) { whole.append(text) }
      if let text = receiver.take(right, from: b) { whole.append(text) }
    }
    #expect(whole == [texts.0, texts.1])
  }

  @Test(arguments: [0, 1, 3])
  func `a message of which a part is missing is lost, and the next one is not`(_ missing: Int) {
    var (sender, receiver) = (LongMessages(), LongMessages())
    var parts = sender.parts(of: String(repeating: "x", count: 500), atMost: 200)
    #expect(parts.count == 4)
    parts.remove(at: missing)
    #expect(parts.allSatisfy { receiver.take($0, from: a) == nil })
    let next = String(repeating: "y", count: 500)
    #expect(sender.parts(of: next, atMost: 200).compactMap { receiver.take($0, from: a) } == [next])
  }

  @Test(arguments: ["+", "+1/1:x", "+1/0/1:x", "+1/2/1:x", "+x/1/1:x", "+1/1/9999999999999999999999:x"])
  func `what is no part is nothing`(_ text: String) {
    var messages = LongMessages()
    #expect(messages.take(text, from: a) == nil)
  }

  @Test func `there is a longest one, for the sender and for the receiver`() {
    var messages = LongMessages()
    let tooLong = String(repeating: "x", count: LongMessages.maxBytes + 1)
    #expect(messages.parts(of: tooLong, atMost: 7_900).isEmpty)
    let half = String(repeating: "x", count: LongMessages.maxBytes / 2 + 1)
    #expect(messages.take("+1/1/2:" + half, from: a) == nil)
    #expect(messages.take("+1/2/2:" + half, from: a) == nil)
  }
}
