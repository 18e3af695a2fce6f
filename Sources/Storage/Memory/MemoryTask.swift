import CoordinationCore

/// One task in a `MemoryStore`, and the rules of each write applied to it.
final class MemoryTask {
  /// The task's place in the order of submission.
  let place: Int
  var record: TaskRecord
  private(set) var attempts: [AttemptRecord] = []
  private(set) var checkpoints: [CheckpointRecord] = []
  private var output: [Int: AttemptOutput] = [:]

  init(_ record: TaskRecord, place: Int) {
    self.record = record
    self.place = place
  }

  var detail: TaskDetail {
    TaskDetail(
      task: record, attempts: attempts, checkpoints: checkpoints, output: output.filter { $0.value != AttemptOutput() })
  }

  var unfinished: UnfinishedTask {
    UnfinishedTask(task: record, checkpoint: checkpoints.last, attempt: attempts.last)
  }

  func put(_ attempt: AttemptRecord) {
    // Attempts come in order, so the place is nearly always the end.
    let index = (attempts.lastIndex { $0.attempt <= attempt.attempt }) ?? -1
    if index >= 0, attempts[index].attempt == attempt.attempt {
      attempts[index] = attempt
    } else {
      attempts.insert(attempt, at: index + 1)
    }
  }

  func put(_ checkpoint: CheckpointRecord, keep: Int) {
    let index = (checkpoints.lastIndex { $0.key <= checkpoint.key }) ?? -1
    if index >= 0, checkpoints[index].key == checkpoint.key { return }
    checkpoints.insert(checkpoint, at: index + 1)
    let excess = checkpoints.count - max(keep, 1)
    if excess > 0 { checkpoints.removeFirst(excess) }
  }

  func append(_ bytes: [UInt8], at offset: Int, of stream: OutputStream, attempt: Int, limit: Int) {
    switch stream {
    case .stdout: Self.splice(bytes, at: offset, limit: limit, into: &output[attempt, default: AttemptOutput()].stdout)
    case .stderr: Self.splice(bytes, at: offset, limit: limit, into: &output[attempt, default: AttemptOutput()].stderr)
    }
  }

  private static func splice(_ bytes: [UInt8], at offset: Int, limit: Int, into kept: inout [UInt8]) {
    if let range = OutputSplice.extending(length: kept.count, offset: offset, count: bytes.count, limit: limit) {
      kept.append(contentsOf: bytes[range])
    }
  }

  func replaceOutput(of attempt: Int, with new: AttemptOutput) {
    output[attempt] = new
  }
}
