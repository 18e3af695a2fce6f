/// Carries messages that are longer than the store takes at once, in parts.
///
///     text ─▶ +7/1/3:… ─▶ +7/2/3:… ─▶ +7/3/3:… ─▶ text
///
/// Parts of one sender come in order or not at all. A message of which one is missing is lost, as any may be.
public struct LongMessages {
  /// The longest message: what is said of one worker, or asked about one task, has bounds that are far below.
  public static let maxBytes = 256 << 10
  /// Of the words before a part's text.
  static let headBytes = 48
  /// Who may be in the middle of a message.
  static let maxSenders = 100
  private static let mark = UInt8(ascii: "+")

  private struct Head: Equatable {
    var number: UInt64
    var index: Int
    var count: Int
  }

  private var lastNumber: UInt64 = 0
  /// Of each sender the message that is not whole yet.
  private var open: [MemberID: (head: Head, text: String)] = [:]

  public init() {}

  /// What to send for `text`, in order; nothing when it is too long for that, too.
  /// - Parameter limit: of one part, in bytes; more than a hundred.
  public mutating func parts(of text: String, atMost limit: Int) -> [String] {
    guard text.utf8.count > limit else { return [text] }
    guard text.utf8.count <= Self.maxBytes else { return [] }
    var pieces: [String] = []
    var start = text.startIndex
    while start < text.endIndex {
      var end = text.utf8.index(start, offsetBy: limit - Self.headBytes, limitedBy: text.endIndex) ?? text.endIndex
      while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
      pieces.append(String(text.unicodeScalars[start..<end]))
      start = end
    }
    lastNumber += 1
    return pieces.enumerated().map { "+\(lastNumber)/\($0 + 1)/\(pieces.count):\($1)" }
  }

  /// A message, or a part of one, has come.
  /// - Returns: a message that is whole; `nil` while it is not.
  public mutating func take(_ text: String, from member: MemberID) -> String? {
    guard text.utf8.first == Self.mark else { return text }
    guard let (head, piece) = Self.read(text) else { return nil }
    var whole = ""
    if head.index > 1 {
      let expected = Head(number: head.number, index: head.index - 1, count: head.count)
      guard let known = open[member], known.head == expected, known.text.utf8.count + piece.utf8.count <= Self.maxBytes
      else {
        open[member] = nil
        return nil
      }
      whole = known.text
    }
    whole += piece
    // More than that are no members any more.
    if open.count >= Self.maxSenders, open[member] == nil { open = [:] }
    open[member] = head.index < head.count ? (head, whole) : nil
    return head.index == head.count ? whole : nil
  }

  private static func read(_ text: String) -> (Head, String)? {
    guard let colon = text.firstIndex(of: ":") else { return nil }
    let words = text[..<colon].dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    guard words.count == 3, let number = UInt64(words[0]), let index = Int(words[1]), let count = Int(words[2]),
      index >= 1, index <= count
    else { return nil }
    return (Head(number: number, index: index, count: count), String(text[text.index(after: colon)...]))
  }
}
