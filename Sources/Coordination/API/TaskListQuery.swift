import CoordinationCore
import Primitives

/// The filters of a list of tasks, and the place to go on from.
enum TaskListQuery {
  static let usualLimit = 100

  static func filter(_ query: QueryParameters) throws(APIProblem) -> TaskFilter {
    var filter = TaskFilter()
    let names = query.values("status").flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }
    if !names.isEmpty {
      var statuses: Set<TaskStatus> = []
      for name in names {
        guard let status = TaskStatus(rawValue: String(name)) else {
          let known = TaskStatus.allCases.map(\.rawValue).joined(separator: " ")
          throw APIProblem(.badParameter, "it must be one or more of \(known)", field: "status")
        }
        statuses.insert(status)
      }
      filter.statuses = statuses
    }
    filter.run = try query.value("run")
    if let worker = try query.value("worker") {
      do { filter.workerID = try WorkerID(worker) } catch {
        throw APIProblem(.badParameter, "\(error)", field: "worker")
      }
    }
    filter.limit = try query.integer("limit", in: 1...TaskFilter.maxLimit) ?? usualLimit
    if let cursor = try query.value("cursor") { filter.after = try task(at: cursor) }
    return filter
  }

  /// The cursor that goes on behind a task.
  static func cursor(after task: TaskID) -> String { Base64.encodeURL(Array(task.text.utf8)) }

  private static func task(at cursor: String) throws(APIProblem) -> TaskID {
    let problem = APIProblem(.badParameter, "it is no next_cursor of a list", field: "cursor")
    guard cursor.utf8.count <= 512, let bytes = Base64.decodeURL(cursor),
      let text = String(validating: bytes, as: UTF8.self)
    else { throw problem }
    do { return try TaskID(text) } catch { throw problem }
  }
}
