/// The name of a result or a checkpoint in the worker's outbox file: `TASK/ATTEMPT/result` or `TASK/ATTEMPT/NUMBER`.
/// Task ids contain no slash.
struct ParcelKey: Equatable {
  let attempt: AttemptKey
  /// `nil` for the attempt's end.
  let checkpoint: Int?

  init(attempt: AttemptKey, checkpoint: Int? = nil) {
    self.attempt = attempt
    self.checkpoint = checkpoint
  }

  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 3, let id = try? TaskID(String(parts[0])), let attempt = Int(parts[1]) else { return nil }
    self.attempt = AttemptKey(id, attempt)
    if parts[2] == "result" {
      checkpoint = nil
    } else {
      guard let number = Int(parts[2]) else { return nil }
      checkpoint = number
    }
  }

  var isResult: Bool { checkpoint == nil }
  var text: String { "\(attempt)/\(checkpoint.map(String.init) ?? "result")" }
}
