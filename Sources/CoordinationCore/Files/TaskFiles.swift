/// A file that a task finds in its working folder when it starts.
public struct TaskInput: Hashable, Sendable {
  /// Where, relative to the working folder; see `RelativePath`.
  public let path: String
  public let file: FileReference
  /// The permissions that matter: whether it may be executed. It can never be written.
  public let isExecutable: Bool

  public init(path: String, _ file: FileReference, isExecutable: Bool = false) {
    self.path = path
    self.file = file
    self.isExecutable = isExecutable
  }

  /// `{"path", "sha256", "size", "mode"}`; a mode is written only where it says that the file may be executed.
  public var json: JSONObject {
    var object: JSONObject = ["path": .string(path)]
    for member in file.fields.members { object.append(member.key, member.value) }
    if isExecutable { object.append("mode", 0o755) }
    return object
  }
}

/// A file that a task left in its working folder, as the coordinator has it.
public struct TaskOutput: Hashable, Sendable {
  public let path: String
  public let file: FileReference
  /// The nine bits of permissions that it had.
  public let mode: Int

  public init(path: String, _ file: FileReference, mode: Int) {
    self.path = path
    self.file = file
    self.mode = mode
  }

  public var json: JSONObject {
    var object: JSONObject = ["path": .string(path)]
    for member in file.fields.members { object.append(member.key, member.value) }
    object.append("mode", .integer(Int64(mode)))
    return object
  }

  /// The result of a command that has outputs: `{"outputs": […]}`.
  public static func result(_ outputs: [TaskOutput]) -> JSONValue {
    ["outputs": .array(outputs.map { .object($0.json) })]
  }

  /// Reads what `result` writes; empty when there is nothing of the kind.
  public static func outputs(in result: JSONValue?) throws(MessageError) -> [TaskOutput] {
    guard let object = result?.object else { return [] }
    let values = try FieldReader(object).optionalArray("outputs", maxCount: FileLimits.maxOutputs) ?? []
    return try TaskFileReader.read(values, "outputs") { path, file, mode in
      TaskOutput(path: path, file, mode: mode ?? 0o644)
    }
  }
}

enum TaskFileReader {
  static func read<File>(
    _ values: [JSONValue], _ name: String, _ make: (String, FileReference, Int?) -> File
  ) throws(MessageError) -> [File] {
    var files: [File] = []
    var paths: Set<String> = []
    for (index, value) in values.enumerated() {
      let place = "\(name)[\(index)]"
      guard let object = value.object else { throw .wrongType(place, expected: "an object", found: value.typeName) }
      do throws(MessageError) {
        let known = ["path", "sha256", "size", "mode"]
        for member in object.members where !known.contains(member.key) {
          throw .unknownField(member.key, allowed: known)
        }
        let reader = FieldReader(object)
        let path = try reader.string("path", maxBytes: 16 << 10)
        if let problem = RelativePath.problem(path) { throw .badValue("path", problem: problem) }
        guard paths.insert(path).inserted else { throw .badValue("path", problem: "\(path) is there twice") }
        files.append(
          make(path, try FileReference(reader), try reader.optionalInteger("mode", in: 0...0o777)))
      } catch {
        throw .badValue(place, problem: "\(error)")
      }
    }
    for path in paths {
      if let folder = RelativePath.folders(above: path).first(where: paths.contains) {
        throw .badValue(name, problem: "\(folder) cannot be a file and the folder of \(path)")
      }
    }
    return files
  }
}
