import CoordinationCore
import Storage

/// Answers about tasks that were asked for lately, kept until the task changes.
///
/// The store answers from its own thread, a few thousand times a second; a page that shows a task asks again and again.
/// Every durable change of a task is told as a notice, and so is every checkpoint: whatever was read before one is
/// forgotten with it.
final class TaskCache {
  /// Of all answers together, in bytes.
  private static let maxBytes = 32 << 20
  private static let maxAnswers = 20_000

  /// The JSON text of a task, and what it needs while it is queued.
  struct Shown {
    let text: [UInt8]
    let needs: TaskNeeds?

    init(_ detail: TaskDetail) {
      text = APIResponse.text(detail.summary)
      needs = detail.task.state.status == .queued ? TaskNeeds(detail.task.specification) : nil
    }
  }

  typealias Answer = Result<Shown?, StoreError>

  /// A question to the store on its way, and all who wait for its answer.
  private final class Question {
    var waiting: [(Answer) -> Void] = []
  }

  private let mayKeep: (TaskRecord) -> Bool
  private let read: (TaskID, @escaping (Result<TaskDetail?, StoreError>) -> Void) -> Void
  private var answers: [TaskID: Shown] = [:]
  private var bytes = 0
  private var questions: [TaskID: Question] = [:]

  /// - Parameter mayKeep: whether every change of a task is told here.
  init(
    mayKeep: @escaping (TaskRecord) -> Bool,
    read: @escaping (TaskID, @escaping (Result<TaskDetail?, StoreError>) -> Void) -> Void
  ) {
    self.mayKeep = mayKeep
    self.read = read
  }

  /// Events may have been missed.
  func forgetAll() {
    answers = [:]
    bytes = 0
    questions = [:]
  }

  /// A task as it is shown; `nil` in place of it when there is no such task.
  func task(_ id: TaskID, _ answer: @escaping (Answer) -> Void) {
    if let known = answers[id] { return answer(.success(known)) }
    if let question = questions[id] {
      question.waiting.append(answer)
      return
    }
    let question = Question()
    question.waiting.append(answer)
    questions[id] = question
    read(id) { [weak self] result in
      let shown = result.map { $0.map(Shown.init) }
      if let self {
        if case .success(let detail?) = result, !mayKeep(detail.task) { questions[id] = nil }
        keep(shown, id, question)
      }
      for answer in question.waiting { answer(shown) }
    }
  }

  /// The task has changed: what is on its way was read before, and whoever asks from now on asks anew.
  func forget(_ id: TaskID) {
    if let old = answers.removeValue(forKey: id) { bytes -= old.text.count }
    questions[id] = nil
  }

  private func keep(_ shown: Answer, _ id: TaskID, _ question: Question) {
    guard questions[id] === question else { return }
    questions[id] = nil
    guard case .success(let shown?) = shown else { return }
    if bytes + shown.text.count > Self.maxBytes || answers.count >= Self.maxAnswers {
      // Rare, and those that are still asked for are back at once.
      answers = [:]
      bytes = 0
    }
    answers[id] = shown
    bytes += shown.text.count
  }
}
