import CoordinationCore
import Cryptography

/// What a client repeats so that a request that is sent twice is done once.
///
/// The tasks' ids are made of it, so the store, which knows every task for ever, is all the memory it needs: whoever
/// repeats a request, even after the coordinator was restarted, names the same tasks again.
struct IdempotencyKey: Equatable {
  static let maxBytes = 255

  let text: String

  init(_ text: String) throws(APIProblem) {
    guard !text.isEmpty, text.utf8.count <= Self.maxBytes else {
      throw APIProblem(
        .badParameter, "it must have 1 to \(Self.maxBytes) characters, and has \(text.utf8.count)",
        field: "Idempotency-Key")
    }
    self.text = text
  }

  /// - Parameters:
  ///   - owner: whose key it is: two users' keys may be the same by chance, or by intent.
  ///   - index: the task's place in the request, from 0.
  func taskID(owner: String, index: Int) -> TaskID { TaskID(known: "\(stem(owner))-\(index + 1)") }

  /// What all ids of a request begin with: `api-` and 32 hexadecimal digits.
  func stem(_ owner: String) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var name = Array("api-".utf8)
    for byte in SHA256.digest(of: "lifeline idempotency key\0\(owner)\0\(text)").bytes.prefix(16) {
      name += [digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
    }
    return String(decoding: name, as: UTF8.self)
  }

  /// The same tasks under the ids that the key gives them.
  func named(_ tasks: [TaskSubmission], owner: String) -> [TaskSubmission] {
    let stem = stem(owner)
    return tasks.enumerated().map { index, task in
      TaskSubmission(id: TaskID(known: "\(stem)-\(index + 1)"), task.specification)
    }
  }

  /// What an earlier request with this key means for one that names `tasks`.
  enum Judgement: Equatable {
    /// There was none.
    case new
    /// It was the same.
    case repeated
    case different
  }

  /// - Parameters:
  ///   - tasks: those of the request, under the key's ids.
  ///   - known: those of them that exist, and the one that would follow them.
  static func judge(_ tasks: [TaskSubmission], known: [TaskID: TaskSpecification]) -> Judgement {
    guard !known.isEmpty else { return .new }
    // A request's tasks are accepted together, so an earlier one left all of them or none.
    let isSame =
      known.count == tasks.count
      && tasks.allSatisfy { task in task.id.map { known[$0] == task.specification } ?? false }
    return isSame ? .repeated : .different
  }
}
