/// The name of a result or a checkpoint in the worker's outbox file: `TASK/ATTEMPT/result` or `TASK/ATTEMPT/NUMBER`.
/// Task ids contain no slash.
package struct ParcelKey: Equatable {
  package let attempt: AttemptKey
  /// `nil` for the attempt's end.
  package let checkpoint: Int?

  init(attempt: AttemptKey, checkpoint: Int? = nil) {
    self.attempt = attempt
    self.checkpoint = checkpoint
  }

  package init?(_ text: String) {
    // From the end and by bytes: this is read for every acknowledged message, and what precedes is judged as an id.
    let bytes = text.utf8
    guard let second = bytes.lastIndex(of: UInt8(ascii: "/")),
      let first = bytes[..<second].lastIndex(of: UInt8(ascii: "/")),
      let id = try? TaskID(String(text[..<first])), let attempt = Int(text[bytes.index(after: first)..<second])
    else { return nil }
    self.attempt = AttemptKey(id, attempt)
    let name = text[bytes.index(after: second)...]
    if name == "result" {
      checkpoint = nil
    } else {
      guard let number = Int(name) else { return nil }
      checkpoint = number
    }
  }

  var isResult: Bool { checkpoint == nil }
  var text: String { "\(attempt)/\(checkpoint.map(String.init) ?? "result")" }
}
