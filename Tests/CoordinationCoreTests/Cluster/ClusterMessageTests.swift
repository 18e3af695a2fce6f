import CoordinationCore
import Testing

@Suite struct ClusterMessageTests {
  static let messages: [ClusterMessage] = [
    .handOver(WorkerID(known: "w"), bootID: "b"), .handOver(WorkerID(known: "w"), bootID: nil),
    .handedOver(WorkerID(known: "w")), .handOverRefused(WorkerID(known: "w"), reason: "in use"),
    .order(1, .cancel(TaskID(known: "t"))), .order(2, .pause(TaskID(known: "t"))),
    .order(3, .resume(TaskID(known: "t"))), .order(4, .checkpoint(TaskID(known: "t"))),
    .order(5, .drainWorker(WorkerID(known: "w"))), .order(5, .telemetry(WorkerID(known: "w"))),
    .order(5, .telemetry(nil)), .answer(6, .done), .answer(7, .notLive(TaskID(known: "t"))),
    .answer(8, .refused("no \"reason\"")), .watching(true), .watching(false), .changed([TaskID(known: "t")]),
    .changedMany, .testsChanged, .roll(9, RollCall()),
    .roll(9, RollCall(worker: WorkerID(known: "w"), withTelemetry: true)),
    .rolled(9, [["worker_id": "w"]], isLast: false, total: nil), .rolled(9, [], isLast: true, total: 7),
    .whoCan(10, [plain, special]), .able(10, [Ability.everything, []]),
  ]

  static let plain = TaskNeeds(TaskSpecification(name: "t", work: .custom(kind: "work", input: [:])))
  static var special: TaskNeeds {
    var specification = TaskSpecification(name: "t", work: .custom(kind: "work", input: [:]))
    specification.slots = 3
    try? specification.requirements.add(argument: "memory_mb>=2048")
    return TaskNeeds(specification)
  }

  @Test(arguments: messages)
  func `a message is read as it was written`(_ message: ClusterMessage) throws {
    #expect(try ClusterMessage(text: message.text) == message)
  }

  @Test(arguments: [
    "", "[]", "{}", #"{"type":"dance"}"#, #"{"type":"order","number":-1,"order":{"do":"cancel","to":"t"}}"#,
    #"{"type":"order","number":1,"order":{"do":"dance","to":"t"}}"#, #"{"type":"hand_over","worker":"a b"}"#,
    #"{"type":"changed","tasks":[1]}"#, #"{"type":"who_can","number":1,"needs":[1]}"#,
    #"{"type":"able","number":1,"abilities":["x"]}"#,
    #"{"type":"who_can","number":1,"needs":[{"kind":"k","slots":0}]}"#,
  ])
  func `what is no message is refused`(_ text: String) {
    #expect(throws: MessageError.self) { try ClusterMessage(text: text) }
  }

  @Test func `needs are told apart by their text, and read back from it`() throws {
    var special = TaskSpecification(name: "t", work: .custom(kind: "work", input: [:]))
    try special.requirements.add(argument: "gpu=1")
    special.slots = 3
    let plain = TaskSpecification(name: "u", work: .custom(kind: "work", input: ["x": 1]), priority: .high)
    for specification in [special, plain] {
      let needs = TaskNeeds(specification)
      #expect(try TaskNeeds(text: needs.text) == needs)
    }
    #expect(TaskNeeds(special).text != TaskNeeds(plain).text)
  }
}
