import CoordinationCore
import Primitives
import Storage

typealias StoreCompletion<T> = @Sendable (Result<T, StoreError>) -> Void

/// What a store was asked for, in the order of the calls.
enum StoreRequest: Sendable {
  case commit([StoreWrite], StoreCompletion<Void>)
  case join(name: String, address: String, lease: Duration, StoreCompletion<MemberID>)
  case renew(StoreCompletion<MembershipRenewal>)
  case leave(@Sendable () -> Void)
  case claim([ClaimWish], limit: Int, overdueBefore: WallTime?, StoreCompletion<[UnfinishedTask]>)
  case locate(TaskID, StoreCompletion<TaskPlace>)
  case gather(WorkerID, StoreCompletion<Gathering>)
  /// Needs of these numbers that no unfinished task has; asked for by the session itself.
  case forgetNeeds([Int64])
  case read(StoreQuestion)
  case send(String, to: MemberID?)
  case close(@Sendable () -> Void)

  /// Whether it changes something, and so waits while the store is away.
  var isChange: Bool {
    switch self {
    case .commit, .join, .renew, .leave, .claim, .locate, .gather, .forgetNeeds: true
    case .read, .send, .close: false
    }
  }

  var weight: Int { if case .commit(let writes, _) = self { writes.count } else { 0 } }

  func fail(_ error: StoreError) {
    switch self {
    case .commit(_, let completion): completion(.failure(error))
    case .join(_, _, _, let completion): completion(.failure(error))
    case .renew(let completion): completion(.failure(error))
    case .leave(let completion), .close(let completion): completion()
    case .claim(_, _, _, let completion): completion(.failure(error))
    case .locate(_, let completion): completion(.failure(error))
    case .gather(_, let completion): completion(.failure(error))
    case .read(let question): question.fail(error)
    case .send, .forgetNeeds: break
    }
  }
}

/// What changes nothing.
enum StoreQuestion: Sendable {
  case unfinished(StoreCompletion<[UnfinishedTask]>)
  case tasks(TaskFilter, StoreCompletion<[TaskRecord]>)
  case task(TaskID, StoreCompletion<TaskDetail?>)
  case counts(run: String?, StoreCompletion<[TaskStatus: Int]>)
  case tests(TestFilter, StoreCompletion<[TestRecord]>)
  case runPart(String, Int, StoreCompletion<RunPart?>)
  case poolNeeds(StoreCompletion<[TaskNeeds]>)
  case poolStatus(StoreCompletion<[Priority: PoolLine]>)

  func fail(_ error: StoreError) {
    switch self {
    case .unfinished(let completion): completion(.failure(error))
    case .tasks(_, let completion): completion(.failure(error))
    case .task(_, let completion): completion(.failure(error))
    case .counts(_, let completion): completion(.failure(error))
    case .tests(_, let completion): completion(.failure(error))
    case .runPart(_, _, let completion): completion(.failure(error))
    case .poolNeeds(let completion): completion(.failure(error))
    case .poolStatus(let completion): completion(.failure(error))
    }
  }
}

/// Requests that wait; taking the first does not move the others.
struct RequestQueue {
  private var requests: [StoreRequest?] = []
  private var head = 0

  var isEmpty: Bool { head == requests.count }
  var first: StoreRequest? { isEmpty ? nil : requests[head] }

  mutating func append(_ request: StoreRequest) { requests.append(request) }

  mutating func prepend(_ request: StoreRequest) {
    if head > 0 {
      head -= 1
      requests[head] = request
    } else {
      requests.insert(request, at: 0)
    }
  }

  mutating func popFirst() -> StoreRequest? {
    guard !isEmpty else { return nil }
    let request = requests[head].take()
    head += 1
    if head == requests.count {
      requests.removeAll(keepingCapacity: true)
      head = 0
    } else if head > 4_096, head > requests.count / 2 {
      requests.removeFirst(head)
      head = 0
    }
    return request
  }

  /// Takes out all that `fits`, in order.
  mutating func remove(where fits: (StoreRequest) -> Bool) -> [StoreRequest] {
    var (kept, taken): ([StoreRequest?], [StoreRequest]) = ([], [])
    for request in requests[head...] {
      guard let request else { continue }
      if fits(request) { taken.append(request) } else { kept.append(request) }
    }
    requests = kept
    head = 0
    return taken
  }
}
