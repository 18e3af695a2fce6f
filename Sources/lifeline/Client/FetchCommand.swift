import ArgumentParsing
import Coordination
import CoordinationCore
import Primitives
import Storage

/// `lifeline fetch`
enum FetchCommand: Subcommand {
  private static let id = Argument("ID", .string, "The task.")
  private static let target = Option(
    "to", .string, default: ".", as: "DIR", "Where to put them; it is made if only the folder itself is missing.")

  static let command = ArgumentParsing.Command(
    "fetch", "gets the files that a task's command left behind",
    details: [
      "Prints their names, one a line. Each is checked against its SHA-256 before it gets its name, and nothing is written "
        + "outside of DIR, whatever a task calls its outputs. A file of the same name is replaced."
    ],
    arguments: [id], options: [target, ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline fetch build-0001 --to results", "Put the outputs of a task into the folder results.")
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let id = try TaskArgument.read(invocation[id], invocation)
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      session.ask("get_task", ["task_id": .string(id)]) { reply in
        let task = reply["task"]?.object ?? JSONObject()
        guard TaskText(task).isEnded else {
          return session.fail("task \(id) has not ended; its outputs are there once it has")
        }
        do {
          let outputs = try TaskOutput.outputs(in: task["result"])
          try fetch(outputs, into: invocation[target], wantsJSON: invocation[ClientOptions.json], session)
        } catch { session.fail("\(error)") }
      }
    }
  }

  private static func fetch(
    _ outputs: [TaskOutput], into path: String, wantsJSON: Bool, _ session: ClientSession
  ) throws(OutputFolder.Failure) {
    let folder = try OutputFolder(path)
    let files = Set(outputs.map(\.file))
    let progress = FileProgress("Getting", bytes: files.reduce(0) { $0 + $1.size })
    let courier = ClientFiles(
      session.client,
      ClientFiles.Disk(
        write: { folder.write($0, offset: $1, $2) }, verify: { folder.verify($0) }))
    courier.onFailure { session.fail($0) }
    courier.onProgress = { progress.add($1) }
    var missing = files.count
    func end() {
      progress.end()
      do throws(OutputFolder.Failure) { try folder.finish(outputs) } catch { return session.fail(error) }
      if wantsJSON {
        Console.standard.write(JSONValue.array(outputs.map { .object($0.json) }).text + "\n")
      } else {
        Console.standard.write(outputs.map { $0.path.escapedForDisplay + "\n" }.joined())
      }
      session.finish(0)
    }
    guard missing > 0 else { return end() }
    for file in files.sorted(by: { $0.digest < $1.digest }) {
      courier.get(file) { problem in
        _ = courier
        guard !session.isFinished else { return }
        if let problem {
          let name = outputs.first { $0.file == file }?.path ?? file.digest.text
          return session.fail("the output \(name) cannot be had: \(problem)")
        }
        missing -= 1
        if missing == 0 { end() }
      }
    }
  }
}
