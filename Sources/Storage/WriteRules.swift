package import CoordinationCore

/// What every engine does with an `.update`, given the record it has.
package enum UpdateVerdict: Equatable {
  case apply
  /// It says what the record says already.
  case nothingToDo
  /// It would change a task that has ended, or comes from an older attempt.
  case refuse

  package init(current: TaskState, new: TaskState) {
    if current.status.isTerminal {
      self = current == new ? .nothingToDo : .refuse
    } else {
      self = new.attempt < current.attempt ? .refuse : .apply
    }
  }
}

/// Where a chunk of output goes, given how many bytes of its stream are kept already.
enum OutputSplice {
  /// The part of a chunk of `count` bytes at `offset` that extends a stream of `length` bytes, as a range of the chunk;
  /// `nil` when nothing of it does: known already, behind a hole, or past `limit`.
  static func extending(length: Int, offset: Int, count: Int, limit: Int) -> Range<Int>? {
    guard offset >= 0, offset <= length, length < limit else { return nil }
    let skipped = length - offset
    guard skipped < count else { return nil }
    return skipped..<min(count, skipped + (limit - length))
  }
}

extension StoreWrite {
  /// Refuses a value that could be written but not read back: the parser has a bound on nesting, the writer has none.
  package func checkStorable() throws(StoreError) {
    switch self {
    case .submit(let task):
      if case .custom(_, let input) = task.specification.work {
        // The specification is an object around its input.
        try Self.check(.object(input), depth: JSONParser.maxDepth - 1, "the input of task \(task.id)")
      }
      if let result = task.state.result {
        try Self.check(result, depth: JSONParser.maxDepth, "the result of task \(task.id)")
      }
    case .update(let id, let state):
      if let result = state.result { try Self.check(result, depth: JSONParser.maxDepth, "the result of task \(id)") }
    case .checkpoint(let checkpoint, keep: _):
      try Self.check(
        checkpoint.data, depth: JSONParser.maxDepth, "checkpoint \(checkpoint.key) of task \(checkpoint.taskID)")
    case .run(let part):
      try Self.check(.object(part.plan), depth: JSONParser.maxDepth, "part \(part.number) of run \(part.run)")
    case .attempt, .appendOutput, .output, .testRan, .testFate, .release, .transfer:
      break
    }
  }

  private static func check(_ value: JSONValue, depth: Int, _ what: @autoclosure () -> String) throws(StoreError) {
    guard fits(value, depth: depth) else {
      throw .unstorable(what: what(), reason: "it is nested more than \(JSONParser.maxDepth) levels deep")
    }
  }

  private static func fits(_ value: JSONValue, depth: Int) -> Bool {
    switch value {
    case .null, .bool, .integer, .number, .string: true
    case .array(let elements): depth > 0 && elements.allSatisfy { fits($0, depth: depth - 1) }
    case .object(let object): depth > 0 && object.members.allSatisfy { fits($0.value, depth: depth - 1) }
    }
  }
}
