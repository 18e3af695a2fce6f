import ArgumentParsing
import CoordinationCore
import Primitives

/// `lifeline run`: commands as they are given, or a command template and the tests that it is run with
/// (`TestRunOptions`).
enum RunCommand: Subcommand {
  private static let patience = Option(
    "patience", optional: .duration(), whenMissing: "for ever", "How long to go on trying while no coordinator answers."
  )

  static let command = ArgumentParsing.Command(
    "run", "runs commands over the fleet and waits for them",
    details: [
      "Shows how the work proceeds, then a summary; a single command's output is passed on. The exit status is 0 if every "
        + "task completed, and 1 if one failed or was cancelled. Coordinators and workers may be restarted meanwhile.",
      "Ctrl-C cancels what has not ended and waits for it; a second Ctrl-C leaves at once, and what still runs goes on.",
      "A command with {} in it is a template for tests: it is run once for each test, named by --tests or, without that, by "
        + "the lines of standard input, with the test in place of {}. The longest go first, by what they took in the past. The "
        + "exit status is then 0 if all passed, 1 if one failed, and 130 after Ctrl-C. A command that writes JUnit's XML to the "
        + "file $LIFELINE_JUNIT_FILE has it merged into --junit.",
    ],
    options: SubmissionPlan.options + [ClientOptions.json],
    sections: [
      OptionSection("Tests", TestRunOptions.all),
      OptionSection("Connection", [ClientOptions.coordinator, patience]), ClientOptions.security,
    ],
    passthrough: SubmissionPlan.passthrough,
    examples: [
      Example("lifeline run -- make test", "Run one command and print what it printed."),
      Example("lifeline run --retries 2 --timeout 10m < commands.txt", "Run a list of commands, one a line."),
      Example("ls tests/*.py | lifeline run --name unit -- pytest {}", "Run one command for each test."),
      Example(
        "lifeline run --tests 'tests/**/test_*.py' --shards 8 --junit report.xml -- "
          + "sh -c 'pytest --junitxml=$LIFELINE_JUNIT_FILE \"$@\"' sh {}",
        "Run them in eight parts of about the same length, and report."),
      Example("lifeline run --failed-from run-4bafdb96", "Run again what failed."),
      Example("lifeline run --resume run-4bafdb96", "Go on with a run whose client was interrupted."),
      Example("lifeline run --json --name build -- ./build.sh", "Tell a program about it."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    if let request = try TestRunRequest(invocation) {
      return try TestRunCommand.run(request, invocation, invocation[patience])
    }
    let plan = try SubmissionPlan(invocation)
    return try ClientSession.run(invocation, patience: invocation[patience]) { session in
      let follower = RunFollower(plan, wantsJSON: invocation[ClientOptions.json], in: session)
      try follower.start()
    }
  }
}
