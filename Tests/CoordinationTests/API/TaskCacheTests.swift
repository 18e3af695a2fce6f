import CoordinationCore
import Primitives
import Storage
import Testing

@testable import Coordination

@Suite struct TaskCacheTests {
  /// A store that answers when the test says so.
  private final class Store {
    var questions: [(TaskID, (Result<TaskDetail?, StoreError>) -> Void)] = []
    lazy var cache = TaskCache(mayKeep: { _ in true }, read: { [unowned self] in questions.append(($0, $1)) })
    var answers: [String] = []

    func ask(_ id: TaskID) {
      cache.task(id) { [unowned self] result in
        switch result {
        case .success(let shown?):
          let object = (try? JSONParser.parse(shown.text))?.object
          answers.append(object?["status"]?.string ?? "?")
        case .success(nil): answers.append("none")
        case .failure: answers.append("failed")
        }
      }
    }

    func answer(_ status: TaskStatus?) {
      let (id, answer) = questions.removeFirst()
      answer(
        .success(
          status.map { status in
            let specification = TaskSpecification(name: "t", work: .custom(kind: "k", input: [:]))
            let record = TaskRecord(
              id: id, specification: specification, submittedAt: WallTime(milliseconds: 0),
              state: TaskState(status: status))
            return TaskDetail(task: record, attempts: [], checkpoints: [], output: [:])
          }))
    }
  }

  private let id = TaskID(known: "t")

  @Test func `one question to the store answers all who ask meanwhile, and all who ask later`() {
    let store = Store()
    store.ask(id)
    store.ask(id)
    #expect(store.questions.count == 1)
    store.answer(.queued)
    store.ask(id)
    #expect(store.questions.isEmpty && store.answers == ["queued", "queued", "queued"])
  }

  @Test func `what a task was before its change is told to nobody who asks after it`() {
    let store = Store()
    store.ask(id)
    store.answer(.queued)
    store.cache.forget(id)
    store.ask(id)
    // It changes once more while the answer is on its way.
    store.cache.forget(id)
    store.ask(id)
    #expect(store.questions.count == 2)
    store.answer(.running)
    store.answer(.completed)
    store.ask(id)
    #expect(store.answers == ["queued", "running", "completed", "completed"])
  }

  @Test func `that there is no such task is not remembered`() {
    let store = Store()
    store.ask(id)
    store.answer(nil)
    store.ask(id)
    store.answer(.queued)
    #expect(store.answers == ["none", "queued"])
  }
}
