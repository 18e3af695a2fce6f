package import CoordinationCore
import Primitives

/// The table `tasks`: one row per task.
final class TaskRows {
  private let connection: SQLiteConnection
  private let insert: SQLiteStatement
  private let change: SQLiteStatement
  private let findPlace: SQLiteStatement
  private let read: SQLiteStatement
  private let pageOfAll: SQLiteStatement
  private let pageOfStatus: SQLiteStatement
  private let pageOfRun: SQLiteStatement
  private let pageOfWorker: SQLiteStatement
  private let countAll: SQLiteStatement
  private let countRun: SQLiteStatement
  /// Reused for every JSON text on its way into a row.
  private var text: [UInt8] = []
  /// The writes of a turn come in runs about one task.
  private var lastFound: (id: TaskID, place: Int64)?

  init(_ connection: SQLiteConnection) throws(StoreError) {
    self.connection = connection
    insert = try connection.prepare(
      """
      INSERT INTO tasks (status, attempt, failed_attempts, lost_attempts, worker, started_at, finished_at, exit_code,
        reason, result, progress, flags, id, run, submitted_at, specification)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT (id) DO NOTHING
      """)
    change = try connection.prepare(
      """
      UPDATE tasks SET status = ?1, attempt = ?2, failed_attempts = ?3, lost_attempts = ?4, worker = ?5,
        started_at = ?6, finished_at = ?7, exit_code = ?8, reason = ?9, result = ?10, progress = ?11, flags = ?12
      WHERE seq = ?13 AND status < \(TaskStatus.firstTerminalCode) AND attempt <= ?2
      """)
    findPlace = try connection.prepare("SELECT seq FROM tasks WHERE id = ?1")
    read = try connection.prepare(
      """
      SELECT status, attempt, failed_attempts, lost_attempts, worker, started_at, finished_at, exit_code,
        reason, result, progress, flags, id, submitted_at, specification FROM tasks WHERE seq = ?1
      """)
    pageOfAll = try connection.prepare("SELECT seq FROM tasks WHERE seq > ?1 ORDER BY seq LIMIT ?2")
    pageOfStatus = try connection.prepare(
      "SELECT seq FROM tasks WHERE seq > ?1 AND status = ?3 ORDER BY seq LIMIT ?2")
    pageOfRun = try connection.prepare(
      "SELECT seq FROM tasks WHERE seq > ?1 AND status = ?3 AND run = ?4 ORDER BY seq LIMIT ?2")
    pageOfWorker = try connection.prepare(
      """
      SELECT seq FROM tasks WHERE seq > ?1 AND status = ?3 AND worker = ?4 AND (?5 IS NULL OR run = ?5)
      ORDER BY seq LIMIT ?2
      """)
    countAll = try connection.prepare("SELECT status, count(*) FROM tasks GROUP BY status")
    countRun = try connection.prepare("SELECT status, count(*) FROM tasks WHERE run = ?1 GROUP BY status")
  }

  /// To be called when a transaction was undone, and with it perhaps the task remembered.
  func forget() { lastFound = nil }

  /// The row of a task; `nil` when it was never submitted.
  func place(of id: TaskID) throws(StoreError) -> Int64? {
    if let lastFound, lastFound.id == id { return lastFound.place }
    defer { findPlace.reset() }
    try findPlace.bind(1, id.text)
    guard try findPlace.step() else { return nil }
    let place = findPlace.int64(0)
    lastFound = (id, place)
    return place
  }

  func submit(_ task: TaskRecord) throws(StoreError) {
    try bind(task.state, to: insert)
    try insert.bind(13, task.id.text)
    try insert.bind(14, task.specification.run)
    try insert.bind(15, task.submittedAt.milliseconds)
    text.removeAll(keepingCapacity: true)
    task.specification.json.write(into: &text)
    try insert.bind(16, text: text)
    try insert.run()
    if connection.changes == 1 { lastFound = (task.id, connection.lastInsertedRow) }
  }

  /// Returns false when the record must stay as it is.
  func update(_ place: Int64, _ state: TaskState) throws(StoreError) -> Bool {
    try bind(state, to: change)
    try change.bind(13, place)
    try change.run()
    if connection.changes == 1 { return true }
    return UpdateVerdict(current: try record(at: place).state, new: state) == .nothingToDo
  }

  private func bind(_ state: TaskState, to statement: SQLiteStatement) throws(StoreError) {
    try statement.bind(1, state.status.code)
    try statement.bind(2, state.attempt)
    try statement.bind(3, state.failedAttempts)
    try statement.bind(4, state.lostAttempts)
    try statement.bind(5, state.workerID?.text)
    try statement.bind(6, state.startedAt?.milliseconds)
    try statement.bind(7, state.finishedAt?.milliseconds)
    try statement.bind(8, state.exitCode)
    try statement.bind(9, state.reason)
    if let result = state.result {
      text.removeAll(keepingCapacity: true)
      result.write(into: &text)
      try statement.bind(10, text: text)
    } else {
      try statement.bindNull(10)
    }
    try statement.bind(11, state.progress)
    try statement.bind(12, (state.isCancelRequested ? 1 : 0) | (state.isPauseRequested ? 2 : 0))
  }

  func record(at place: Int64) throws(StoreError) -> TaskRecord {
    defer { read.reset() }
    try read.bind(1, place)
    guard try read.step(), let id = read.string(12), let status = TaskStatus(code: read.int64(0)) else {
      throw .corrupt(path: connection.path, reason: "the task in row \(place) has no id or no status")
    }
    var state = TaskState(status: status)
    state.attempt = read.int(1)
    state.failedAttempts = read.int(2)
    state.lostAttempts = read.int(3)
    state.workerID = read.string(4).map(WorkerID.init(known:))
    state.startedAt = read.optionalInt64(5).map(WallTime.init(milliseconds:))
    state.finishedAt = read.optionalInt64(6).map(WallTime.init(milliseconds:))
    state.exitCode = read.optionalInt(7)
    state.reason = read.string(8)
    if !read.isNull(9) { state.result = try connection.json(read.bytes(9), "the result of task \(id)") }
    state.progress = read.optionalDouble(10)
    let flags = read.int64(11)
    state.isCancelRequested = flags & 1 != 0
    state.isPauseRequested = flags & 2 != 0
    return TaskRecord(
      id: TaskID(known: id), specification: try specification(read.bytes(14), of: id),
      submittedAt: WallTime(milliseconds: read.int64(13)), state: state)
  }

  private func specification(_ text: [UInt8], of id: String) throws(StoreError) -> TaskSpecification {
    let what = "the specification of task \(id)"
    guard let object = try connection.json(text, what).object else {
      throw .corrupt(path: connection.path, reason: "\(what) is not an object")
    }
    do { return try TaskSpecification(json: object) } catch {
      throw .corrupt(path: connection.path, reason: "\(what): \(error)")
    }
  }

  /// The rows of one page, in order.
  func page(_ filter: TaskFilter) throws(StoreError) -> [TaskRecord] {
    var after: Int64 = 0
    if let id = filter.after {
      guard let place = try place(of: id) else { return [] }
      after = place
    }
    let limit = min(max(filter.limit, 1), TaskFilter.maxLimit)
    if let ids = filter.ids { return try page(of: ids, filter, after: after, limit: limit) }
    var places: [Int64] = []
    if filter.statuses == nil, filter.run == nil, filter.workerID == nil {
      try places.append(contentsOf: list(pageOfAll, after: after, limit: limit))
    } else {
      // One ordered list per status, each at most a page long; their merge is the page.
      for status in TaskStatus.allCases where filter.statuses?.contains(status) ?? true {
        let statement = filter.workerID != nil ? pageOfWorker : filter.run != nil ? pageOfRun : pageOfStatus
        try statement.bind(3, status.code)
        if let workerID = filter.workerID {
          try statement.bind(4, workerID.text)
          try statement.bind(5, filter.run)
        } else if let run = filter.run {
          try statement.bind(4, run)
        }
        try places.append(contentsOf: list(statement, after: after, limit: limit))
      }
      places.sort()
    }
    var page: [TaskRecord] = []
    for place in places.prefix(limit) { try page.append(record(at: place)) }
    return page
  }

  private func list(_ statement: SQLiteStatement, after: Int64, limit: Int) throws(StoreError) -> [Int64] {
    defer { statement.reset() }
    try statement.bind(1, after)
    try statement.bind(2, limit)
    var places: [Int64] = []
    while try statement.step() { places.append(statement.int64(0)) }
    return places
  }

  private func page(
    of ids: [TaskID], _ filter: TaskFilter, after: Int64, limit: Int
  ) throws(StoreError) -> [TaskRecord] {
    var places: Set<Int64> = []
    for id in ids { if let place = try place(of: id), place > after { places.insert(place) } }
    var page: [TaskRecord] = []
    for place in places.sorted() where page.count < limit {
      let record = try record(at: place)
      if filter.matches(record) { page.append(record) }
    }
    return page
  }

  /// The rows of all tasks that have not ended, in order.
  func unfinished() throws(StoreError) -> [Int64] {
    var places: [Int64] = []
    for status in TaskStatus.allCases where !status.isTerminal {
      try pageOfStatus.bind(3, status.code)
      try places.append(contentsOf: list(pageOfStatus, after: 0, limit: .max))
    }
    return places.sorted()
  }

  func counts(run: String?) throws(StoreError) -> [TaskStatus: Int] {
    let statement = run == nil ? countAll : countRun
    defer { statement.reset() }
    if let run { try statement.bind(1, run) }
    var counts: [TaskStatus: Int] = [:]
    while try statement.step() {
      guard let status = TaskStatus(code: statement.int64(0)) else { continue }
      counts[status] = statement.int(1)
    }
    return counts
  }
}

extension TaskStatus {
  // Part of the file format. The terminal ones come last, so that one comparison in SQL finds them.
  package var code: Int64 {
    switch self {
    case .queued: 0
    case .assigned: 1
    case .running: 2
    case .paused: 3
    case .completed: 4
    case .failed: 5
    case .cancelled: 6
    }
  }

  package static let firstTerminalCode: Int64 = 4

  package init?(code: Int64) {
    guard let match = Self.allCases.first(where: { $0.code == code }) else { return nil }
    self = match
  }
}

extension SQLiteConnection {
  /// Reads JSON text that this program wrote.
  func json(_ text: [UInt8], _ what: @autoclosure () -> String) throws(StoreError) -> JSONValue {
    do { return try JSONParser.parse(text) } catch { throw .corrupt(path: path, reason: "\(what()): \(error)") }
  }
}
