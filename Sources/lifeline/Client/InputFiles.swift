import ArgumentParsing
import Coordination
import CoordinationCore
import Storage

/// The files that go in and out of the tasks of a submission.
struct InputFiles {
  private static let input = Option(
    "input", repeated: .string, as: "PATH[=NAME]",
    "Send this file, or every file in this folder, and put it into the folder in which the command runs: under its own "
      + "name, or as NAME. It cannot be changed there.")
  private static let output = Option(
    "output", repeated: .string, as: "PATTERN",
    "Keep the files that match when the command has ended: * and ? within a name, ** for any folders. `lifeline fetch` "
      + "gets them.")

  static let options: [any DeclaredOption] = [input, output]

  private let inputs: [TaskInput]
  /// Where on this machine each file is.
  private let places: [FileDigest: String]
  private let patterns: [String]

  /// Reads all inputs, so as to know what they are.
  init(_ invocation: Invocation) throws(UsageError) {
    var inputs: [TaskInput] = []
    var places: [FileDigest: String] = [:]
    var paths: Set<String> = []
    for text in invocation[Self.input] {
      let (path, name) = Self.split(text)
      do throws(LocalFile.Failure) {
        for found in try LocalFile.find(path, limit: FileLimits.maxInputs - inputs.count) {
          let target = [name, found.name].filter { !$0.isEmpty }.joined(separator: "/")
          if let problem = RelativePath.problem(target) { throw LocalFile.Failure(problem) }
          guard paths.insert(target).inserted else { throw LocalFile.Failure("\(target) would be there twice") }
          inputs.append(TaskInput(path: target, found.file, isExecutable: found.isExecutable))
          places[found.file.digest] = found.path
        }
      } catch { throw invocation.error("--input: \(error)") }
    }
    for pattern in invocation[Self.output] {
      do { _ = try GlobPattern(pattern) } catch { throw invocation.error("--output: \(error)") }
    }
    self.inputs = inputs
    self.places = places
    patterns = invocation[Self.output]
  }

  /// What is before the last `=` that leaves something that is there; a name may have one of its own.
  private static func split(_ text: String) -> (path: String, name: String) {
    if !LocalFile.exists(text), let sign = text.lastIndex(of: "=") {
      var name = text[text.index(after: sign)...]
      while name.hasSuffix("/") { name.removeLast() }
      return (String(text[..<sign]), name == "." ? "" : String(name))
    }
    var path = text[...]
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    return (String(path), name == "." || name == ".." ? "" : name)
  }

  /// The members of each task's specification.
  var fields: JSONObject {
    var fields = JSONObject()
    if !inputs.isEmpty { fields["inputs"] = .array(inputs.map { .object($0.json) }) }
    if !patterns.isEmpty { fields["outputs"] = .array(patterns.map(JSONValue.string)) }
    return fields
  }

  /// Hands over what the coordinator does not have, and calls `body` once it has everything.
  func send(in session: ClientSession, then body: @escaping () -> Void) {
    let files = Set(inputs.map(\.file))
    guard !files.isEmpty else { return body() }
    let progress = FileProgress("Sending", bytes: files.reduce(0) { $0 + $1.size })
    let courier = ClientFiles(
      session.client,
      ClientFiles.Disk(read: { [places] file, offset, count in
        places[file.digest].flatMap { LocalFile.read($0, offset: offset, count: count) }
      }))
    courier.onFailure { session.fail($0) }
    courier.onProgress = { progress.add($1) }
    var missing = files.count
    for file in files.sorted(by: { $0.digest < $1.digest }) {
      courier.send(file) { [inputs] problem in
        // It holds the courier until the last file is there.
        _ = courier
        guard !session.isFinished else { return }
        if let problem {
          let name = inputs.first { $0.file == file }?.path ?? file.digest.text
          return session.fail("the input \(name) cannot be sent: \(problem)")
        }
        missing -= 1
        guard missing == 0 else { return }
        progress.end()
        body()
      }
    }
  }
}
