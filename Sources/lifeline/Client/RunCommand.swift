import ArgumentParsing
import CoordinationCore
import Primitives

/// `lifeline run`
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
    ],
    options: SubmissionPlan.options + [ClientOptions.json],
    sections: [OptionSection("Connection", [ClientOptions.coordinator, patience]), ClientOptions.security],
    passthrough: SubmissionPlan.passthrough,
    examples: [
      Example("lifeline run -- make test", "Run one command and print what it printed."),
      Example("lifeline run --retries 2 --timeout 10m < commands.txt", "Run a list of commands, one a line."),
      Example("lifeline run --json --name build -- ./build.sh", "Tell a program about it."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let plan = try SubmissionPlan(invocation)
    return try ClientSession.run(invocation, patience: invocation[patience]) { session in
      let follower = RunFollower(plan, wantsJSON: invocation[ClientOptions.json], in: session)
      try follower.start()
    }
  }
}
