import CoordinationCore
import Primitives
import Testing

/// What one member finds out about all members' workers.
@Suite(.timeLimit(.minutes(1)))
struct FleetQuestionTests {
  private func worker(_ text: String) -> WorkerID { WorkerID(known: text) }

  private func needs(_ requirements: String..., kind: String = "work", slots: Int = 1) throws -> TaskNeeds {
    var specification = TaskSpecification(name: "t", work: .custom(kind: kind, input: [:]))
    specification.slots = slots
    for requirement in requirements { try specification.requirements.add(argument: requirement) }
    return TaskNeeds(specification)
  }

  private func abilities(_ effects: [ClusterEffect], _ id: UInt64) -> [TaskNeeds: Ability]? {
    for case .abilities(RequestID(id), let abilities) in effects { return abilities }
    return nil
  }

  private func questions(_ effects: [ClusterEffect]) -> [(number: UInt64, needs: [TaskNeeds], to: MemberID?)] {
    effects.compactMap {
      if case .send(.whoCan(let number, let needs), let to) = $0 { (number, needs, to) } else { nil }
    }
  }

  /// What a member says whose workers are these.
  private func able(_ needs: [TaskNeeds], _ workers: [(slots: Int, labels: JSONObject)]) throws -> [Ability] {
    let other = try ClusterBench(others: [1])
    for (number, each) in workers.enumerated() {
      other.admit(UInt64(number + 1), "w\(number)", slots: each.slots, labels: each.labels)
    }
    _ = other.asked()
    other.handle(.message(.whoCan(1, needs), from: MemberID(9)))
    for case .send(.able(_, let abilities), MemberID(9)) in other.asked() { return abilities }
    throw MessageError.missingField("abilities")
  }

  // MARK: What tasks wait for

  @Test func `what a worker here can do is known without asking anybody`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", labels: ["gpu": "1"])
    _ = bench.asked()
    let gpu = try needs("gpu=1")
    bench.handle(.wanted(RequestID(1), [gpu]))
    let asked = bench.asked()
    #expect(questions(asked).isEmpty)
    #expect(abilities(asked, 1)?[gpu]?.obstacle(to: gpu) == nil)
    #expect(abilities(asked, 1)?[gpu] != nil)
  }

  @Test func `what is missing is missing at all coordinators`() throws {
    let gpu = try needs("gpu=1")
    let far = try needs("zone=far", "gpu=2")
    let large = try needs(slots: 4)
    let all = [gpu, far, large]
    // Each has a part of what the second needs, and the third nobody.
    let mine: [(slots: Int, labels: JSONObject)] = [(2, ["zone": "far"])]
    let theirs: [(slots: Int, labels: JSONObject)] = [(2, ["gpu": "1"]), (3, ["gpu": "2"])]
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", slots: mine[0].slots, labels: mine[0].labels)
    _ = bench.asked()
    bench.handle(.wanted(RequestID(1), all))
    let asked = bench.asked()
    #expect(abilities(asked, 1) == nil)
    let question = try #require(questions(asked).first)
    #expect(question.needs == all && question.to == nil)
    bench.handle(.message(.able(question.number, try able(all, theirs)), from: MemberID(2)))
    let found = try #require(abilities(bench.asked(), 1))
    #expect(try #require(found[gpu]).obstacle(to: gpu) == nil)
    #expect(found[far]?.obstacle(to: far) == "no connected worker has gpu=2 zone=far together")
    #expect(found[large]?.obstacle(to: large) == "no connected worker has 4 slots")
  }

  @Test(
    arguments: [
      ([:], "no worker is connected"), (["gpu": "2"], "no connected worker has gpu=1"),
      (["arm": "1", "gpu": "1"], "every connected worker has the label arm"), (["gpu": "1"], nil),
    ] as [(JSONObject, String?)])
  func `the words are those of a coordinator alone`(_ labels: JSONObject, _ words: String?) throws {
    let one = try needs("gpu=1", "!arm")
    let workers = labels == [:] ? [] : [(slots: 1, labels: labels)]
    let bench = try ClusterBench(others: [2])
    bench.handle(.wanted(RequestID(1), [one]))
    let question = try #require(questions(bench.asked()).first)
    bench.handle(.message(.able(question.number, try able([one], workers)), from: MemberID(2)))
    #expect(try #require(abilities(bench.asked(), 1)?[one]).obstacle(to: one) == words)
  }

  @Test func `kinds of work that nobody does are told from workers that nobody has`() throws {
    let other = try needs(kind: "other")
    #expect(try able([other], [(1, [:])])[0].obstacle(to: other) == "no connected worker does work of kind other")
  }

  @Test func `while one coordinator has not answered nothing is said, unless another has such a worker`() throws {
    let bench = try ClusterBench(others: [2, 3])
    let (gpu, arm) = (try needs("gpu=1"), try needs("arm"))
    bench.handle(.wanted(RequestID(1), [gpu, arm]))
    let question = try #require(questions(bench.asked()).first)
    let answer = try able([gpu, arm], [(1, ["gpu": "1"])])
    bench.handle(.message(.able(question.number, answer), from: MemberID(2)))
    bench.tick(after: .milliseconds(300))
    // Only who has not answered is asked again.
    #expect(questions(bench.asked()).map(\.to) == [MemberID(3)])
    bench.tick(after: .seconds(1))
    let found = try #require(abilities(bench.asked(), 1))
    #expect(found.keys.sorted { $0.text < $1.text } == [gpu])
    // It is not asked again at once.
    bench.handle(.wanted(RequestID(2), [arm]))
    #expect(abilities(bench.asked(), 2) == [:])
    // What comes too late is nobody's answer.
    bench.handle(.message(.able(question.number, answer), from: MemberID(3)))
    #expect(bench.asked().isEmpty)
  }

  @Test func `whoever asks for the same at once or soon after asks nobody, and later all are asked anew`() throws {
    let bench = try ClusterBench(others: [2])
    let gpu = try needs("gpu=1")
    bench.handle(.wanted(RequestID(1), [gpu]))
    bench.handle(.wanted(RequestID(2), [gpu, gpu]))
    let asked = questions(bench.asked())
    #expect(asked.count == 1)
    let none = try able([gpu], [])
    bench.handle(.message(.able(asked[0].number, none), from: MemberID(2)))
    let told = bench.asked()
    #expect(abilities(told, 1)?[gpu] == none[0] && abilities(told, 2)?[gpu] == none[0])
    bench.tick(after: .milliseconds(900))
    bench.handle(.wanted(RequestID(3), [gpu]))
    #expect(abilities(bench.asked(), 3)?[gpu] == none[0])
    bench.tick(after: .milliseconds(200))
    bench.handle(.wanted(RequestID(4), [gpu]))
    #expect(questions(bench.asked()).count == 1)
  }

  @Test func `whoever joins is asked too, and whoever has gone is not waited for`() throws {
    let bench = try ClusterBench(others: [2])
    let gpu = try needs("gpu=1")
    bench.handle(.wanted(RequestID(1), [gpu]))
    let number = try #require(questions(bench.asked()).first).number
    bench.renew(others: [3])
    let asked = bench.asked()
    #expect(abilities(asked, 1) == nil)
    #expect(questions(asked).map(\.to) == [MemberID(3)])
    bench.handle(.message(.able(number, try able([gpu], [])), from: MemberID(3)))
    #expect(abilities(bench.asked(), 1)?[gpu]?.obstacle(to: gpu) == "no worker is connected")
  }

  @Test func `a member that does not know the others yet says nothing`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.isShared = true
    let core = try CoordinatorCore(configuration: configuration, random: SeededGenerator(seed: 1), at: .zero)
    let cluster = ClusterCore(core, member: MemberID(1), joinedAt: .zero, at: .zero)
    var effects: [ClusterEffect] = []
    let wall = WallTime(milliseconds: 0)
    cluster.handle(.wanted(RequestID(1), [try needs("gpu=1")]), at: .zero, wall: wall, into: &effects)
    #expect(effects == [.abilities(RequestID(1), [:])])
  }

  @Test func `very many needs are asked for in several messages, and of too many nothing is said`() throws {
    let bench = try ClusterBench(others: [2])
    let many = try (0..<300).map { try needs("label-\($0)=\(String(repeating: "x", count: 100))") }
    bench.handle(.wanted(RequestID(1), many))
    let asked = questions(bench.asked())
    #expect(asked.count > 1)
    for question in asked {
      #expect(ClusterMessage.whoCan(question.number, question.needs).text.utf8.count <= 7_800)
      bench.handle(
        .message(.able(question.number, try able(question.needs, [(1, [:])])), from: MemberID(2)))
    }
    let found = try #require(abilities(bench.asked(), 1))
    #expect(found.count == 200)
    #expect(found[many[7]]?.obstacle(to: many[7]) == "no connected worker has \(many[7].requirements)")
  }

  // MARK: The roll

  private func rolled(_ effects: [ClusterEffect]) -> [String]? {
    for case .rolled(_, let workers) in effects {
      return workers.map { "\($0["worker_id"]?.string ?? "?") \($0["state"]?.string ?? "?")" }
    }
    return nil
  }

  private func shown(_ id: String, _ state: String = "connected") -> JSONObject {
    ["worker_id": .string(id), "state": .string(state)]
  }

  @Test func `a roll has every worker once, where it is connected`() throws {
    let bench = try ClusterBench(others: [2, 3])
    bench.handle(.calledRoll(RequestID(1), RollCall(), own: [shown("b"), shown("c", "disconnected")]))
    #expect(bench.asked() == [.send(.roll(1, RollCall()), to: nil)])
    let theirs = [shown("a"), shown("b", "lost")]
    bench.handle(.message(.rolled(1, theirs, isLast: true, total: 2), from: MemberID(2)))
    bench.handle(.message(.rolled(1, [shown("d")], isLast: false, total: nil), from: MemberID(3)))
    #expect(rolled(bench.asked()) == nil)
    bench.handle(.message(.rolled(1, [shown("c")], isLast: true, total: 2), from: MemberID(3)))
    #expect(rolled(bench.asked()) == ["a connected", "b connected", "c connected", "d connected"])
  }

  @Test func `who has not answered is asked again, and so is one whose answer is not whole`() throws {
    let bench = try ClusterBench(others: [2, 3, 4])
    bench.handle(.calledRoll(RequestID(1), RollCall(withTelemetry: true), own: []))
    bench.handle(.message(.rolled(1, [shown("a")], isLast: true, total: 1), from: MemberID(2)))
    // Its first part was lost.
    bench.handle(.message(.rolled(1, [shown("c")], isLast: true, total: 2), from: MemberID(3)))
    _ = bench.asked()
    bench.tick(after: .milliseconds(300))
    let again = ClusterMessage.roll(1, RollCall(withTelemetry: true))
    #expect(bench.asked() == [.send(again, to: MemberID(3)), .send(again, to: MemberID(4))])
    bench.handle(.message(.rolled(1, [shown("b"), shown("c")], isLast: true, total: 2), from: MemberID(3)))
    #expect(rolled(bench.asked()) == nil)
    bench.tick(after: .milliseconds(700))
    #expect(rolled(bench.asked()) == ["a connected", "b connected", "c connected"])
  }

  @Test func `one worker is looked for, and others that a member names are left out`() throws {
    let bench = try ClusterBench(others: [2])
    let call = RollCall(worker: worker("b"))
    bench.handle(.calledRoll(RequestID(1), call, own: []))
    bench.handle(.message(.rolled(1, [shown("a"), shown("b")], isLast: true, total: nil), from: MemberID(2)))
    #expect(rolled(bench.asked()) == ["b connected"])
  }

  @Test func `a member that is gone is not waited for, and a coordinator alone asks nobody`() throws {
    let bench = try ClusterBench(others: [2])
    bench.handle(.calledRoll(RequestID(1), RollCall(), own: [shown("a")]))
    bench.renew()
    #expect(rolled(bench.asked()) == ["a connected"])
    bench.handle(.calledRoll(RequestID(2), RollCall(), own: [shown("a")]))
    #expect(rolled(bench.asked()) == ["a connected"])
  }

  @Test func `a member that goes on and on is not waited for longer than the limit`() throws {
    let bench = try ClusterBench(others: [2])
    bench.handle(.calledRoll(RequestID(1), RollCall(), own: []))
    var answers = 0
    for number in 0..<20 {
      bench.handle(.message(.rolled(1, [shown("w\(number)")], isLast: false, total: nil), from: MemberID(2)))
      bench.tick(after: .milliseconds(500))
      if rolled(bench.asked()) != nil { answers += 1 }
    }
    #expect(answers == 1)
  }

  // MARK: Telemetry

  @Test func `telemetry of all workers is asked for at every coordinator, until each has answered`() throws {
    let bench = try ClusterBench(others: [2, 3])
    bench.admit(1, "w")
    _ = bench.asked()
    bench.request(7, .telemetry(nil))
    #expect(bench.replies(1).map(\.kind) == [.telemetryRequest])
    #expect(bench.asked() == [.send(.order(1, .telemetry(nil)), to: nil)])
    bench.handle(.message(.answer(1, .done), from: MemberID(3)))
    bench.handle(.message(.answer(1, .done), from: MemberID(3)))
    #expect(bench.answers[RequestID(7)] == nil)
    bench.tick(after: .milliseconds(300))
    #expect(bench.asked().contains(.send(.order(1, .telemetry(nil)), to: MemberID(2))))
    bench.handle(.message(.answer(1, .done), from: MemberID(2)))
    #expect(bench.answers[RequestID(7)] == .done)
  }

  @Test func `a coordinator that does not answer is given up, and the others' telemetry is there`() throws {
    let bench = try ClusterBench(others: [2])
    bench.request(7, .telemetry(nil))
    for _ in 0..<3 { bench.tick(after: .milliseconds(300)) }
    #expect(bench.answers[RequestID(7)] == nil)
    bench.tick(after: .milliseconds(300))
    #expect(bench.answers[RequestID(7)] == .done)
  }

  @Test func `one worker's telemetry is asked for wherever it is`() throws {
    let bench = try ClusterBench(others: [2])
    bench.request(7, .telemetry(worker("w")))
    #expect(bench.asked().contains(.send(.order(1, .telemetry(worker("w"))), to: nil)))
    bench.handle(.message(.answer(1, .done), from: MemberID(2)))
    #expect(bench.answers[RequestID(7)] == .done)
    bench.request(8, .telemetry(worker("v")))
    for _ in 0..<4 { bench.tick(after: .milliseconds(300)) }
    let text = "worker v is not connected, or cannot be asked for telemetry"
    #expect(bench.answers[RequestID(8)] == .refused(text))
  }

  @Test func `an order for telemetry that comes from elsewhere goes to the workers here`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w")
    _ = bench.asked()
    bench.handle(.message(.order(4, .telemetry(nil)), from: MemberID(2)))
    #expect(bench.replies(1).map(\.kind) == [.telemetryRequest])
    bench.handle(.message(.order(5, .telemetry(worker("w"))), from: MemberID(2)))
    #expect(bench.replies(1).map(\.kind) == [.telemetryRequest])
    bench.handle(.message(.order(6, .telemetry(worker("v"))), from: MemberID(2)))
    let answers = bench.asked().filter { if case .send(.answer, _) = $0 { true } else { false } }
    #expect(answers == [.send(.answer(4, .done), to: MemberID(2)), .send(.answer(5, .done), to: MemberID(2))])
  }
}
