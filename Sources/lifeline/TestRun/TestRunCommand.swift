import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestRuns

/// `lifeline run` with tests: finds out what is to be run, has it remembered, and follows it.
enum TestRunCommand {
  static func run(
    _ request: TestRunRequest, _ invocation: Invocation, _ patience: Duration?
  ) throws(UsageError) -> Int32 {
    try ClientSession.run(invocation, patience: patience) { session in
      let preparation = TestRunPreparation(request, in: session)
      try preparation.start { plan, predictions in
        let follower = TestRunFollower(plan, predictions, request, in: session)
        preparation.onInterrupt = follower.interrupted
        follower.start()
      }
    }
  }
}

/// From what the command line asks for to a plan that the coordinator remembers.
final class TestRunPreparation {
  private let request: TestRunRequest
  private let session: ClientSession
  /// Takes a signal, once there is something to interrupt; before, it ends the program.
  var onInterrupt: ((Int32) -> Void)?
  private var ready: ((RunPlan, [Duration]) -> Void)?

  init(_ request: TestRunRequest, in session: ClientSession) {
    self.request = request
    self.session = session
  }

  /// - Parameter ready: takes the plan, and how long each of its tasks is going to take.
  func start(_ ready: @escaping (RunPlan, [Duration]) -> Void) throws {
    self.ready = ready
    for number in [SIGINT, SIGTERM] {
      try session.loop.onSignal(number) { [self] in
        guard let onInterrupt else { exit(128 + number) }
        onInterrupt(number)
      }
    }
    switch request.source {
    case .tests(let tests): begin(tests, after: nil)
    case .failedFrom(let run): load(run) { [self] plan in collectFailed(of: plan) }
    case .resume(let run):
      load(run) { [self] plan in
        askForTests(of: plan.suite) { [self] durations, _ in hand(over: plan, durations) }
      }
    }
  }

  // MARK: Earlier runs

  private func load(_ run: String, _ parts: [JSONObject] = [], _ body: @escaping (RunPlan) -> Void) {
    session.client.request("get_run", ["run": .string(run), "part": .integer(Int64(parts.count))]) { [self] result in
      switch result {
      case .success(let reply):
        let parts = parts + [reply["plan"]?.object ?? JSONObject()]
        if parts.count < RunPlan.partCount(parts[0]) { return load(run, parts, body) }
        guard let plan = RunPlan(run: run, parts: parts) else {
          return session.fail("what the coordinator remembers of run \(run) is no plan for tests")
        }
        body(plan)
      case .failure(let error) where error.code == "not_found":
        session.fail(
          parts.isEmpty
            ? "the coordinator knows no run \(run) of tests; lifeline tasks lists what it knows"
            : "the plan of run \(run) is incomplete: its client was interrupted before anything was submitted")
      case .failure(let error): session.fail(error)
      }
    }
  }

  private func collectFailed(of plan: RunPlan) {
    var newest: [Int: (round: Int, task: JSONObject)] = [:]
    session.list(["run": .string(plan.run)]) { page in
      for task in page {
        guard let place = task["task_id"]?.string.flatMap(plan.place), newest[place.index]?.round ?? 0 < place.round
        else { continue }
        newest[place.index] = (place.round, task)
      }
    } end: { [self] in
      guard !session.isFinished else { return }
      var failed: [String] = []
      for (index, tests) in plan.tasks.enumerated() {
        guard let task = newest[index]?.task, task["status"] == "failed" else { continue }
        for outcome in TestTaskResult(task, tests: tests, duration: nil, interruption: nil).outcomes {
          if case .failed = outcome.verdict { failed.append(outcome.test) }
        }
      }
      guard !failed.isEmpty else {
        Console.standard.complain("Nothing failed in run \(plan.run)")
        return session.finish(0)
      }
      begin(failed, after: plan)
    }
  }

  // MARK: A new run

  private func begin(_ tests: [String], after earlier: RunPlan?) {
    guard let template = request.template ?? earlier?.template,
      let suite = request.template == nil ? earlier?.suite ?? request.suite : request.suite
    else { return session.fail("no command is known for the tests; give one with {} after --") }
    guard template.takesSeveral || request.shards == 0 else {
      return session.fail("the run's command takes one test at a time, so there can be no --shards")
    }
    var common = earlier?.common ?? JSONObject()
    for member in request.common.members where earlier == nil || request.given.contains(Self.option(member.key)) {
      common[member.key] = member.value
    }
    refuseExisting { [self] in
      askForTests(of: suite) { [self] durations, quarantined in
        // A test in quarantine is submitted as well, by itself: the coordinator ends it at once and says why.
        let runnable = tests.filter { !quarantined.contains($0) }
        let sharding = Sharding(runnable, into: request.shards, durations: durations)
        let plan = RunPlan(
          run: request.run, suite: suite, template: template, common: common,
          tasks: sharding.shards.map(\.tests) + tests.filter(quarantined.contains).map { [$0] })
        for index in plan.tasks.indices {
          // Found out here, before anything was submitted, rather than by the coordinator in the middle of it.
          do { _ = try TaskSpecification(json: plan.specification(index)) } catch {
            return session.fail(
              "\(plan.name(index)): \(error)" + (plan.tasks[index].count > 1 ? "; use more --shards" : ""))
          }
        }
        request.files.send(in: session) { [self] in
          record(plan.parts[...], of: plan) { [self] in hand(over: plan, durations) }
        }
      }
    }
  }

  /// The option that says a specification's member.
  private static func option(_ member: String) -> String {
    switch member {
    case "timeout_s": "timeout"
    case "requires": "require"
    case "slots": "task-slots"
    case "inputs": "input"
    case "outputs": "output"
    default: member
    }
  }

  /// A run that somebody named must be a new one: its tasks' ids would stand for other tests.
  private func refuseExisting(then body: @escaping () -> Void) {
    guard request.isRunNamed else { return body() }
    session.ask("list_tasks", ["run": .string(request.run), "limit": 1]) { [self] reply in
      guard reply["tasks"]?.array?.isEmpty != false else {
        return session.fail(
          "run \(request.run) exists; lifeline run --resume \(request.run) goes on with it, or choose another --run")
      }
      body()
    }
  }

  /// What is remembered of a suite's tests.
  private func askForTests(
    of suite: String, _ body: @escaping (_ durations: [String: Duration], _ quarantined: Set<String>) -> Void
  ) {
    var durations: [String: Duration] = [:]
    var quarantined: Set<String> = []
    func ask(after: JSONObject?) {
      var fields: JSONObject = ["suite": .string(suite), "limit": .integer(Int64(TestFilter.maxLimit))]
      if let after { fields["after"] = .object(after) }
      session.ask("list_tests", fields) { reply in
        let tests = (reply["tests"]?.array ?? []).compactMap(\.object)
        for test in tests {
          guard let name = test["test"]?.string else { continue }
          if let seconds = test["duration_s"]?.number { durations[name] = .seconds(seconds) }
          if test["quarantined"] == true { quarantined.insert(name) }
        }
        guard tests.count == TestFilter.maxLimit, let last = tests.last?["test"] else {
          return body(durations, quarantined)
        }
        ask(after: ["suite": .string(suite), "test": last])
      }
    }
    ask(after: nil)
  }

  private func record(_ parts: ArraySlice<JSONObject>, of plan: RunPlan, then body: @escaping () -> Void) {
    guard let part = parts.first else { return body() }
    let fields: JSONObject = [
      "run": .string(plan.run), "part": .integer(Int64(parts.startIndex)), "plan": .object(part),
    ]
    session.ask("record_run", fields) { [self] _ in record(parts.dropFirst(), of: plan, then: body) }
  }

  private func hand(over plan: RunPlan, _ durations: [String: Duration]) {
    let predictions = Sharding.predictions(plan.tasks.flatMap { $0 }, durations)
    var sums: [Duration] = []
    var first = 0
    for task in plan.tasks {
      sums.append(predictions[first..<first + task.count].reduce(.zero, +))
      first += task.count
    }
    ready?(plan, sums)
    ready = nil
  }
}
