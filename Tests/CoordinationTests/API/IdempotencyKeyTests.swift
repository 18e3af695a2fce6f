import CoordinationCore
import Testing

@testable import Coordination

@Suite struct IdempotencyKeyTests {
  private func task(_ word: String) -> TaskSubmission {
    TaskSubmission(TaskSpecification(name: word, work: .command(Command([word]))))
  }

  private func known(_ tasks: [TaskSubmission]) -> [TaskID: TaskSpecification] {
    Dictionary(uniqueKeysWithValues: tasks.map { ($0.id ?? TaskID(known: "none"), $0.specification) })
  }

  @Test func `the same key gives the same names for ever, and others to others`() throws {
    let key = try IdempotencyKey("order 7")
    // Names that clients were given must not change with a later version of this program.
    #expect(key.taskID(owner: "", index: 0).text == "api-7065669926595df63ed7e8294c65728f-1")
    #expect(
      key.named([task("a"), task("b")], owner: "ci").map(\.id) == [0, 1].map { key.taskID(owner: "ci", index: $0) })
    #expect(key.taskID(owner: "ci", index: 0) != key.taskID(owner: "other", index: 0))
    #expect(try IdempotencyKey("order 8").taskID(owner: "", index: 0) != key.taskID(owner: "", index: 0))
    // What is the owner's and what is the key's cannot be taken for each other.
    #expect(try IdempotencyKey("b").stem("a") != IdempotencyKey("ab").stem(""))
  }

  @Test func `a request is the same only with the same tasks in the same number`() throws {
    let key = try IdempotencyKey("k")
    let first = key.named([task("a"), task("b")], owner: "")
    #expect(IdempotencyKey.judge(first, known: [:]) == .new)
    #expect(IdempotencyKey.judge(first, known: known(first)) == .repeated)
    let other = key.named([task("a"), task("c")], owner: "")
    #expect(IdempotencyKey.judge(other, known: known(first)) == .different)
    let longer = key.named([task("a"), task("b"), task("c")], owner: "")
    #expect(IdempotencyKey.judge(longer, known: known(first)) == .different)
    // The task behind its last is asked for as well, and is there.
    #expect(IdempotencyKey.judge(Array(longer.prefix(2)), known: known(longer)) == .different)
  }
}
