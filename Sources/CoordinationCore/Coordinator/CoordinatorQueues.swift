/// What waits at the coordinator, and in which order it leaves.
///
/// Of what a worker is sent only assignments can be many and long. So they wait while its connection takes no more, while
/// everything that cannot wait (cancellations and other orders, answers to heartbeats, acknowledgements) goes past them
/// and straight to the connection. An order for a task whose assignment waits is repeated behind it.
extension CoordinatorCore {
  /// Tasks that wait for a worker, by their priority; their age is counted from their submission.
  public var taskQueueStatus: QueueStatus { book.status(at: wall) }

  /// Assignments that wait for their worker's connection or outbox, by the priority of their tasks.
  public var messageQueueStatus: QueueStatus {
    var status = QueueStatus()
    for worker in workers.values {
      for (id, _) in worker.unsent { if let task = book[id] { status[task.specification.priority].waiting += 1 } }
    }
    return status
  }

  func sendingHeldBack(_ id: ConnectionID, _ isHeldBack: Bool) {
    guard let link = link(id), link.isHeldBack != isHeldBack else { return }
    link.isHeldBack = isHeldBack
    guard !isHeldBack, let worker = workers[link.workerID], worker.link === link else { return }
    sendWaitingAssignments(to: worker)
    offer(worker)
  }

  /// There are no more of them than the worker has slots, and no others join them while they wait: nothing starves here.
  func inOrderOfPriority(_ waiting: [(task: TaskID, attempt: Int)]) -> [(task: TaskID, attempt: Int)] {
    guard configuration.usesPriorities, waiting.count > 1 else { return waiting }
    let ranks = waiting.map { book[$0.task]?.specification.priority ?? .normal }
    return waiting.indices.sorted { (ranks[$0], $0) < (ranks[$1], $1) }.map { waiting[$0] }
  }
}
