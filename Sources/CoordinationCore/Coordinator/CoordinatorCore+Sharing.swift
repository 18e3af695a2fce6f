public import Primitives

/// What a coordinator does for others that use the same store, and for workers that come from one to another.
extension CoordinatorCore {
  /// Messages that a connection may send before its worker can register.
  static let maxDeferred = 1_000
  /// Tasks asked for at once: enough to keep the store busy while these are given out.
  static let maxClaim = 1_000

  /// Why a task with files is refused: what one coordinator's disk has, the others do not.
  package static let noFiles =
    "coordinators that share their store keep no files: put what a task needs where its worker can read it"

  /// Until everything is here that others had of it, a worker is not answered: its state sync would be judged wrongly.
  func hold(_ message: Message, of link: WorkerLink) {
    guard link.deferred.count < Self.maxDeferred else {
      return close(link, SessionCloseCode.brokenSession, "more was sent than is kept before a registration")
    }
    link.deferred.append(message)
    guard link.deferred.count == 1 else { return }
    let bootID = message.kind == .registration ? message.fields["boot_id"]?.string : nil
    // What was given away before this must be in the store, and from here on nothing of the worker's is given away: what
    // is gathered is then all there is.
    coming[link.workerID] = link.connection
    promiseGather(link, bootID: bootID)
  }

  /// A connection has ended, or its worker may register.
  func noteGone(_ link: WorkerLink) {
    if coming[link.workerID] == link.connection { coming[link.workerID] = nil }
  }

  func gathered(_ id: ConnectionID, _ tasks: [UnfinishedTask], _ refusal: String?) {
    adopt(tasks)
    guard let link = links[id], !link.isGathered else { return }
    link.isGathered = true
    noteGone(link)
    let deferred = link.deferred
    link.deferred = []
    if let refusal {
      sendPlain(Message(.error, ["message": .string(refusal)]), over: link)
      return close(link, SessionCloseCode.workerIDInUse, refusal)
    }
    for message in deferred where links[id] === link { take(message, link) }
  }

  /// Takes over tasks of the store. Whoever holds one may be running it undisturbed and come here any moment.
  func adopt(_ tasks: [UnfinishedTask]) {
    for unfinished in tasks where !hasJustEnded(unfinished.task.id) {
      guard let task = book.adopt(unfinished, wall: wall), task.state.status.isHeld, let id = task.state.workerID else {
        continue
      }
      let worker = entry(for: id)
      worker.hold(task)
      worker.hasMoved = false
      if let link = worker.link {
        // One that has yet to say what it holds says so; the reference's say it with each heartbeat.
        guard worker.isSynchronised, link.mode == .session else { continue }
      }
      // A session that goes on says nothing of what others gave the worker: only the worker knows whether it has it.
      if worker.session != nil { forgetSession(of: worker, reason: "its tasks came from another coordinator") }
      // However long it has been away from here: it may have been with the other coordinator a moment ago, with a whole
      // lease.
      worker.lastHeard = now
      worker.absence = Absence(kind: .restored, since: now)
      renewLease(of: worker)
    }
  }

  /// The worker has come to another coordinator: all that is kept for it here goes there.
  func handOver(_ id: WorkerID, _ bootID: String?, to member: MemberID) {
    guard let worker = workers[id] else {
      handOverLost(by: id, to: member)
      return promiseHandedOver(id, to: member)
    }
    if let link = worker.link {
      // Two processes with one name would take each other's place for ever.
      if worker.bootID != bootID, now - worker.lastHeard < configuration.heartbeatTimeout {
        let text = "worker id \(id) is in use by \(link.remoteAddress); give each worker its own --worker-id"
        return emit(.handOverRefused(id, to: member, reason: text))
      }
      close(link, SessionCloseCode.takenOver, "worker \(id) came to another coordinator")
    }
    forgetSession(of: worker, reason: "worker \(id) came to another coordinator")
    log(.info, "worker handed over", ["worker": id.text, "member": "\(member)", "tasks": "\(worker.held.count)"])
    for task in worker.held.sorted() {
      if let live = book[task] { book.give(live, by: .transfer(task, to: member)) }
      worker.drop(task)
    }
    handOverLost(by: id, to: member)
    worker.absence = nil
    worker.hasMoved = true
    promiseHandedOver(id, to: member)
  }

  /// The worker may have words of what it held last, and says them there.
  private func handOverLost(by id: WorkerID, to member: MemberID) {
    for task in book.lastHeld(by: id) { book.give(task, by: .transfer(task.id, to: member)) }
  }

  /// Whether a worker that has just come, or is about to, may still have a result or a checkpoint of a task that it held.
  func mayHaveWords(_ task: LiveTask, _ id: WorkerID) -> Bool {
    if coming[id] != nil { return true }
    guard let worker = workers[id], let link = worker.link, link.isRegistered else { return false }
    // Of one that its worker died with, everything is said with what the next run of it says it holds.
    guard !task.mustGoBack else { return !worker.isSynchronised }
    return now - link.openedAt < configuration.heartbeatTimeout
  }

  /// What of these needs the workers that are connected here meet.
  func ability(for needs: TaskNeeds) -> Ability { book.dispatcher.ability(for: needs) }

  /// Whether any connected worker has room for anything.
  var hasRoomForTasks: Bool { !isDraining && book.dispatcher.room(atMost: 1) > 0 }

  /// What connected workers have room for now, of tasks with these needs, and how much of it together.
  func wishes(for needs: some Sequence<TaskNeeds>) -> (wishes: [ClaimWish], limit: Int) {
    guard !isDraining else { return ([], 0) }
    var wishes: [ClaimWish] = []
    for need in needs {
      let count = book.dispatcher.room(for: need, atMost: Self.maxClaim)
      if count > 0 { wishes.append(ClaimWish(need, count: count)) }
    }
    return (wishes, wishes.isEmpty ? 0 : book.dispatcher.room(atMost: Self.maxClaim))
  }

  /// Before which time of submission a task is overdue; `nil`: never.
  public func overdueBefore(_ wall: WallTime) -> WallTime? {
    configuration.priorityAging.map { WallTime(milliseconds: wall.milliseconds &- $0.wholeMilliseconds) }
  }
}
