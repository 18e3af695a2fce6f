import CoordinationCore
import Storage

/// What became of the wish to have a task done again.
enum RetryAnswer: Equatable {
  /// The task that does it: a new one, or the newest retry where that has not ended.
  case submitted(TaskID)
  case noSuchTask
  case refused(String)
  case unavailable(StoreError)
}

/// The names under which a task is done again: `ID.2`, `ID.3`, and so on.
enum RetryName {
  static let maxRetries = 10_000

  /// The task that this one may be a retry of; `nil` where its name says that it is none.
  static func original(of id: TaskID) -> TaskID? {
    guard let dot = id.text.lastIndex(of: "."), let number = Int(id.text[id.text.index(after: dot)...]), number >= 2,
      "\(id.text[..<dot]).\(number)" == id.text
    else { return nil }
    return try? TaskID(String(id.text[..<dot]))
  }

  static func retry(_ number: Int, of id: TaskID) throws(IdentifierError) -> TaskID { try TaskID("\(id).\(number)") }
}

extension CoordinatorRuntime {
  private static let namesPerQuestion = 100

  /// Has a task that ended done again, as a new task with the same specification: what ended never changes.
  ///
  /// While the newest retry has not ended it is the answer, so asking twice does it once.
  func retry(_ id: TaskID, _ answer: @escaping (RetryAnswer) -> Void) {
    let original = RetryName.original(of: id)
    tasks(named: [id] + (original.map { [$0] } ?? [])) { [self] result in
      switch result {
      case .failure(let error): answer(.unavailable(error))
      case .success(let found):
        guard let task = found.first(where: { $0.id == id }) else { return answer(.noSuchTask) }
        guard task.state.status.isTerminal else {
          return answer(.refused("task \(id) has not ended: it is \(task.state.status.rawValue)"))
        }
        // A name that looks like a retry's is one only where that is what it was.
        let isRetry = found.contains { $0.id == original && $0.specification == task.specification }
        retry(task.specification, of: isRetry ? original ?? id : id, from: 2, newest: nil, answer)
      }
    }
  }

  /// - Parameter newest: the retry before `first`, where there is one.
  private func retry(
    _ specification: TaskSpecification, of id: TaskID, from first: Int, newest: TaskRecord?,
    _ answer: @escaping (RetryAnswer) -> Void
  ) {
    guard first < RetryName.maxRetries else {
      return answer(.refused("task \(id) was retried \(RetryName.maxRetries) times"))
    }
    var names: [TaskID] = []
    do {
      for number in first..<first + Self.namesPerQuestion { names.append(try RetryName.retry(number, of: id)) }
    } catch { return answer(.refused("a retry cannot be named: \(error)")) }
    tasks(named: names) { [self] result in
      switch result {
      case .failure(let error): answer(.unavailable(error))
      case .success(let found):
        let known = Dictionary(found.map { ($0.id, $0) }) { first, _ in first }
        guard let free = names.first(where: { known[$0] == nil }) else {
          let last = names.last.flatMap { known[$0] }
          return retry(specification, of: id, from: first + Self.namesPerQuestion, newest: last, answer)
        }
        let before = names.firstIndex(of: free).flatMap { $0 > 0 ? known[names[$0 - 1]] : newest }
        if let before, !before.state.status.isTerminal { return answer(.submitted(before.id)) }
        request(.submit([TaskSubmission(id: free, specification)])) { submitted in
          switch submitted {
          case .submitted: answer(.submitted(free))
          case .refused(let reason): answer(.refused(reason))
          case .done, .notLive: answer(.refused("unexpected answer"))
          }
        }
      }
    }
  }
}
