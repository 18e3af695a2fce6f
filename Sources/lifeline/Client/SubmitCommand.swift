import ArgumentParsing
import CoordinationCore

/// `lifeline submit`
enum SubmitCommand: Subcommand {
  static let command = ArgumentParsing.Command(
    "submit", "submits commands and returns at once",
    details: ["Prints the tasks' ids, one a line, once the coordinator has them for good."],
    options: SubmissionPlan.options + [ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    passthrough: SubmissionPlan.passthrough,
    examples: [
      Example("lifeline submit -- make test", "Submit one command."),
      Example(
        "lifeline submit --run nightly < commands.txt", "Submit many, under ids that make doing it twice harmless."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let plan = try SubmissionPlan(invocation)
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      let submitter = BatchSubmitter(plan.tasks, to: session.client)
      let wantsJSON = invocation[ClientOptions.json]
      func show(_ count: Int) {
        let ids = plan.tasks.prefix(count).map(\.id)
        if wantsJSON {
          let object: JSONObject = ["run": .string(plan.run), "task_ids": .array(ids.map(JSONValue.string))]
          Console.standard.write(object.text + "\n")
        } else {
          Console.standard.write(ids.map { $0 + "\n" }.joined())
        }
      }
      submitter.onProgress = { result in
        if case .failure(let error) = result {
          show(submitter.submitted)
          return session.fail(error)
        }
        guard submitter.isDone else { return }
        show(submitter.submitted)
        session.finish(0)
      }
      guard !plan.tasks.isEmpty else {
        show(0)
        return session.finish(0)
      }
      plan.checkExisting(in: session) { submitter.start() }
    }
  }
}
