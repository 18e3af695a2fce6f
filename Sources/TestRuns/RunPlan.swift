package import CoordinationCore

/// What a run of tests is made of, and how it is remembered in the coordinator's store.
///
/// Ids alone would tell what was submitted, and not what was not: a client that died halfway must be followed by one that
/// knows the rest. So the plan goes to the store first, in parts that fit into messages.
package struct RunPlan: Equatable, Sendable {
  package var run: String
  package var suite: String
  package var template: CommandTemplate
  /// What all tasks have in common: `env`, `cwd`, `timeout_s`, `retries`, `priority`.
  package var common: JSONObject
  /// The tests of each task, in the order of submission.
  package var tasks: [[String]]

  package init(run: String, suite: String, template: CommandTemplate, common: JSONObject, tasks: [[String]]) {
    self.run = run
    self.suite = suite
    self.template = template
    self.common = common
    self.tasks = tasks
  }

  package var testCount: Int { tasks.reduce(0) { $0 + $1.count } }

  // MARK: Tasks

  /// The id of a task, counted from 0, the `round`th time that it is submitted.
  package func id(_ index: Int, round: Int = 1) -> String {
    let digits = "\(index + 1)"
    let id = "\(run)-\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits)"
    return round == 1 ? id : "\(id).\(round)"
  }

  /// Which task and which round an id stands for; `nil` for another run's.
  package func place(of id: String) -> (index: Int, round: Int)? {
    guard id.hasPrefix(run + "-") else { return nil }
    let parts = id.dropFirst(run.count + 1).split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, let first = parts.first, let number = Int(first), tasks.indices.contains(number - 1) else {
      return nil
    }
    guard parts.count == 2 else { return (number - 1, 1) }
    guard let round = Int(parts[1]), round > 1, self.id(number - 1, round: round) == id else { return nil }
    return (number - 1, round)
  }

  package func name(_ index: Int) -> String {
    let tests = tasks[index]
    guard tests.count != 1 else { return tests[0].prefix(maxBytes: SpecificationLimits.maxNameBytes) }
    return "\(suite) \(index + 1)/\(tasks.count): \(tests.count) tests".prefix(
      maxBytes: SpecificationLimits.maxNameBytes)
  }

  /// The specification of a task, as it is submitted.
  package func specification(_ index: Int) -> JSONObject {
    let tests = tasks[index]
    var object = common
    object["name"] = .string(name(index))
    object["command"] = .array(template.command(for: tests).map(JSONValue.string))
    object["run"] = .string(run)
    object["suite"] = .string(suite)
    if tests.count == 1 {
      object["test"] = .string(tests[0])
    } else {
      object["tests"] = .array(tests.map(JSONValue.string))
    }
    return object
  }

  // MARK: In the store

  /// Of the tests' JSON text in one part; what is around them is little, or too long for a task anyway.
  private static let maxPartBytes = RunPart.maxBytes / 4

  /// The plan in pieces, in order; the first says how many there are.
  package var parts: [JSONObject] {
    var pieces: [[JSONValue]] = [[]]
    var bytes = 0
    for tests in tasks {
      let value = JSONValue.array(tests.map(JSONValue.string))
      let size = value.text.utf8.count + 1
      if bytes + size > Self.maxPartBytes, pieces.last?.isEmpty == false {
        pieces.append([])
        bytes = 0
      }
      bytes += size
      pieces[pieces.count - 1].append(value)
    }
    return pieces.enumerated().map { number, tests in
      var object: JSONObject = ["tasks": .array(tests)]
      if number == 0 {
        object["parts"] = .integer(Int64(pieces.count))
        object["suite"] = .string(suite)
        object["template"] = .array(template.words.map(JSONValue.string))
        object["common"] = .object(common)
      }
      return object
    }
  }

  /// How many parts a plan has, by its first.
  package static func partCount(_ first: JSONObject) -> Int {
    first["parts"]?.integer.flatMap { Int(exactly: $0) }.map { min(max($0, 1), RunPart.maxParts) } ?? 1
  }

  /// The plan of all its parts; `nil` when they are none.
  package init?(run: String, parts: [JSONObject]) {
    guard let first = parts.first, let suite = first["suite"]?.string, let common = first["common"]?.object,
      let words = first["template"]?.array?.compactMap(\.string), parts.count == Self.partCount(first)
    else { return nil }
    var tasks: [[String]] = []
    for part in parts {
      for value in part["tasks"]?.array ?? [] {
        guard let tests = value.array?.compactMap(\.string), !tests.isEmpty else { return nil }
        tasks.append(tests)
      }
    }
    self.init(run: run, suite: suite, template: CommandTemplate(words), common: common, tasks: tasks)
    guard template.takesSeveral || tasks.allSatisfy({ $0.count == 1 }) else { return nil }
  }
}
