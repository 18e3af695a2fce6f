import ArgumentParsing
import CoordinationCore
import TestRuns

/// The options of `lifeline run` that are about tests.
enum TestRunOptions {
  static let tests = Option(
    "tests", repeated: .string, as: "GLOB",
    "The tests are the files that match: * ? [a-z] within a name, ** for any folders. Else they are lines of standard input."
  )
  static let shards = Option(
    "shards", .integer(0...10_000), default: 0, as: "N",
    "Put the tests into N tasks of about the same length, by what they took in the past; 0: a task for each.")
  static let failFast = Option(flag: "fail-fast", "End the run with the first test that fails for good.")
  static let junit = Option(
    "junit", optional: .string, as: "FILE", "Write a report in JUnit's XML, also when the run is interrupted.")
  static let failedFrom = Option(
    "failed-from", optional: .string, as: "RUN|FILE",
    "Run only what failed in an earlier run, named by its id or by its report, which ends in .xml.")
  static let resume = Option(
    "resume", optional: .string, as: "RUN",
    "Go on with a run: what ended counts, what runs is followed, what was cancelled or never submitted is submitted.")

  static let all: [any DeclaredOption] = [tests, shards, failFast, junit, failedFrom, resume]
  /// Those that mean nothing without tests.
  static let dependent: [any DeclaredOption] = [tests, shards, failFast, junit]
}

/// What a command line asks for that is about tests; nothing was asked of the coordinator yet.
struct TestRunRequest {
  enum Source {
    case tests([String])
    case failedFrom(run: String)
    case resume(run: String)
  }

  let source: Source
  /// `nil`: that of the earlier run.
  let template: CommandTemplate?
  let suite: String?
  /// What the options say about every task, and which of them stand on the command line.
  let common: JSONObject
  let given: Set<String>
  let files: InputFiles
  let run: String
  let isRunNamed: Bool
  let shards: Int
  let failFast: Bool
  let junit: String?
  let wantsJSON: Bool

  static let maxTests = 1_000_000

  /// `nil` when the command line is not about tests.
  init?(_ invocation: Invocation) throws(UsageError) {
    let template = CommandTemplate(invocation.passthrough)
    let (failedFrom, resume) = (invocation[TestRunOptions.failedFrom], invocation[TestRunOptions.resume])
    guard template.hasMarker || failedFrom != nil || resume != nil else {
      guard let option = TestRunOptions.dependent.first(where: invocation.isGivenByWord) else { return nil }
      throw invocation.error(
        "--\(option.definition.name) is about tests: give a command with {} where the test goes, after --")
    }
    guard failedFrom == nil || resume == nil else {
      throw invocation.error("--failed-from begins a new run and --resume goes on with one; choose either")
    }
    if !invocation.passthrough.isEmpty, !template.hasMarker {
      throw invocation.error("the command after -- has no {} where the test goes")
    }
    let isNew = resume == nil
    if !isNew { try Self.refuseWhatTheRunKnows(invocation) }
    if failedFrom != nil, !invocation[TestRunOptions.tests].isEmpty {
      throw invocation.error("--failed-from says which tests are run; --tests does as well")
    }
    self.template = template.hasMarker ? template : nil
    suite = try Self.suite(invocation, template)
    files = try InputFiles(invocation)
    var common = try SubmissionPlan.common(invocation)
    for member in files.fields.members { common[member.key] = member.value }
    self.common = common
    let options: [any DeclaredOption] = [
      SubmissionPlan.retries, SubmissionPlan.timeout, SubmissionPlan.priority, SubmissionPlan.environment,
      SubmissionPlan.directory, SubmissionPlan.requirement, SubmissionPlan.slots, SubmissionPlan.ownDirectory,
    ]
    given = Set((options + InputFiles.options).filter(invocation.isGivenByWord).map(\.definition.name))
    isRunNamed = invocation[SubmissionPlan.run] != nil
    run = resume ?? invocation[SubmissionPlan.run] ?? "run-\(Surroundings.randomText(8))"
    do { _ = try TaskID("\(run)-\(Self.maxTests).1000") } catch { throw invocation.error("the run's id: \(error)") }
    shards = invocation[TestRunOptions.shards]
    failFast = invocation[TestRunOptions.failFast]
    junit = invocation[TestRunOptions.junit]
    wantsJSON = invocation[ClientOptions.json]
    if let junit {
      do { try WholeFile.checkWritable(junit) } catch { throw invocation.error("--junit: \(error)") }
    }
    if let resume {
      source = .resume(run: resume)
    } else if let failedFrom {
      source =
        failedFrom.hasSuffix(".xml")
        ? .tests(try Self.failed(in: failedFrom, invocation)) : .failedFrom(run: failedFrom)
      if failedFrom.hasSuffix(".xml"), self.template == nil {
        throw invocation.error("a report does not say how its tests are run; give a command with {} after --")
      }
    } else {
      source = .tests(try Self.namedTests(invocation))
    }
    if shards > 0, let template = self.template, !template.takesSeveral {
      throw invocation.error(
        "with --shards a command is given several tests: {} must be an argument of its own, as in  sh -c 'pytest \"$@\"' sh {}"
      )
    }
  }

  private static func refuseWhatTheRunKnows(_ invocation: Invocation) throws(UsageError) {
    let known: [any DeclaredOption] =
      SubmissionPlan.options + [TestRunOptions.tests, TestRunOptions.shards]
    if let option = known.first(where: invocation.isGivenByWord) {
      throw invocation.error(
        "--resume goes on with a run as it was begun; --\(option.definition.name) cannot change it")
    }
    guard invocation.passthrough.isEmpty else {
      throw invocation.error("--resume goes on with a run as it was begun; it takes no command")
    }
  }

  private static func suite(_ invocation: Invocation, _ template: CommandTemplate) throws(UsageError) -> String? {
    let suite = invocation[SubmissionPlan.name] ?? template.words.first?.split(separator: "/").last.map(String.init)
    guard let suite else { return nil }
    guard !suite.isEmpty, suite.utf8.count <= SpecificationLimits.maxSuiteBytes else {
      throw invocation.error("--name has 1 to \(SpecificationLimits.maxSuiteBytes) bytes where it names a suite")
    }
    return suite
  }

  private static func namedTests(_ invocation: Invocation) throws(UsageError) -> [String] {
    var tests: [String] = []
    if invocation[TestRunOptions.tests].isEmpty {
      tests = try SubmissionPlan.readLines("tests", invocation)
      guard !tests.isEmpty else {
        throw invocation.error("there are no tests on standard input; name them one a line, or give --tests GLOB")
      }
    } else {
      for text in invocation[TestRunOptions.tests] {
        let found: [String]
        do { found = try FileSearch(text).paths(in: TestFiles.entries) } catch {
          throw invocation.error("--tests \(text): \(error)")
        }
        guard !found.isEmpty else { throw invocation.error("--tests \(text) matches no file here") }
        tests += found
      }
    }
    return try checked(tests, invocation)
  }

  /// Each once, in the order in which they were named first.
  private static func checked(_ tests: [String], _ invocation: Invocation) throws(UsageError) -> [String] {
    var seen: Set<String> = []
    let tests = tests.filter { seen.insert($0).inserted }
    guard tests.count <= maxTests else {
      throw invocation.error("\(tests.count) tests; at most \(maxTests) can be run at once")
    }
    for test in tests where test.utf8.count > SpecificationLimits.maxTestBytes || test.utf8.contains(0) {
      throw invocation.error(
        "a test's name has at most \(SpecificationLimits.maxTestBytes) bytes, none of them zero: \(test.prefix(60))…")
    }
    return tests
  }

  private static func failed(in path: String, _ invocation: Invocation) throws(UsageError) -> [String] {
    do {
      return try checked(
        JUnitReader.read(WholeFile.read(path, maxBytes: XMLReader.Limits().maxBytes)).failedTests, invocation)
    } catch let error as UsageError {
      throw error
    } catch {
      throw invocation.error("--failed-from \(path): \(error)")
    }
  }
}
