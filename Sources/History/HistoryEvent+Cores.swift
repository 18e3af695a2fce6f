public import CoordinationCore

extension HistoryEvent {
  public init(_ trace: CoordinatorTrace) {
    switch trace {
    case .registered(let worker, let session, let resumed): self = .registered(worker, session, resumed: resumed)
    case .offered(let worker, let capabilities): self = .offered(worker, capabilities)
    case .handled(let worker, let session, let sequence, let kind):
      self = .coordinatorHandled(worker, session, sequence: sequence, kind)
    }
  }

  public init(_ trace: WorkerTrace, _ worker: WorkerID) {
    switch trace {
    case .joined(let session, let resumed): self = .sessionJoined(worker, session, resumed: resumed)
    case .handled(let session, let sequence, let kind):
      self = .workerHandled(worker, session, sequence: sequence, kind)
    case .verdict(let key, let verdict): self = .verdict(key, worker, verdict)
    }
  }
}

extension StoredTask {
  public init(_ unfinished: UnfinishedTask) {
    let task = unfinished.task
    self.init(
      id: task.id, status: task.state.status, attempt: task.state.attempt, worker: task.state.workerID,
      checkpoint: unfinished.checkpoint?.key)
  }
}

extension HistoryEvent {
  /// What the store's answer gave to a member; `nil` when that is nothing.
  public init?(_ event: ClusterEvent) {
    let tasks: [UnfinishedTask]
    let how: Taking
    switch event {
    case .renewed(let renewal): (tasks, how) = (renewal.takenOver, .takenOver)
    case .claimed(let claimed): (tasks, how) = (claimed, .claimed)
    case .gathered(_, let gathering): (tasks, how) = (gathering.tasks, .gathered)
    case .located(_, .here(let task)): (tasks, how) = ([task], .located)
    default: return nil
    }
    guard !tasks.isEmpty else { return nil }
    self = .taken(tasks.map { StoredTask($0) }, how)
  }
}
