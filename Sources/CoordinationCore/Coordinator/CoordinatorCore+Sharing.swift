public import Primitives

/// What a coordinator does for others that use the same store, and for workers that come from one to another.
extension CoordinatorCore {
  /// Messages that a connection may send while the store is asked on its behalf.
  static let maxDeferred = 1_000
  /// Tasks asked for at once: enough to keep the store busy while these are given out.
  static let maxClaim = 1_000

  /// Until everything is here that others had of it, a worker is not answered: its state sync would be judged wrongly.
  func hold(_ message: Message, of link: WorkerLink) {
    guard keep(message, of: link), link.deferred.count == 1 else { return }
    let bootID = message.kind == .registration ? message.fields["boot_id"]?.string : nil
    // What was given away before this must be in the store, and from here on nothing of the worker's is given away: what
    // is gathered is then all there is.
    coming[link.workerID] = link.connection
    promiseGather(link, bootID: bootID)
  }

  /// - Returns: whether there was room for it; otherwise the connection is closed.
  private func keep(_ message: Message, of link: WorkerLink) -> Bool {
    guard link.deferred.count < Self.maxDeferred else {
      close(link, SessionCloseCode.brokenSession, "more was sent than is kept while the store is asked")
      return false
    }
    link.deferred.append(message)
    return true
  }

  /// Handles a message, unless it or one before it names files that only the store may know: then the store is asked
  /// first, and what follows waits, because a session's messages are handled in their order.
  func takeInOrder(_ message: Message, _ link: WorkerLink) {
    guard configuration.isShared else { return take(message, link) }
    guard link.deferred.isEmpty else {
      workers[link.workerID]?.lastHeard = now
      _ = keep(message, of: link)
      return
    }
    let unknown = unknownFiles(in: outputs(named: message).lazy.map(\.file))
    guard !unknown.isEmpty else { return take(message, link) }
    workers[link.workerID]?.lastHeard = now
    if keep(message, of: link) { emit(.findFiles(.worker(link.connection), unknown)) }
  }

  /// The outputs that a result is about to name, as far as that can be told; whoever handles it says what is wrong.
  private func outputs(named message: Message) -> [TaskOutput] {
    guard message.kind == .taskResult, let id = try? message.reader.taskID(), let task = book[id],
      !task.specification.outputs.isEmpty
    else { return [] }
    return (try? TaskOutput.outputs(in: message.fields["result"])) ?? []
  }

  /// Each once, in order.
  func unknownFiles(in references: some Sequence<FileReference>) -> [FileDigest] {
    var seen: Set<FileDigest> = []
    return references.filter { files.size(of: $0.digest) == nil && seen.insert($0.digest).inserted }.map(\.digest)
  }

  /// What the store has of the files of a worker's result is known now.
  func filesFound(_ id: ConnectionID) {
    guard let link = links[id], link.isGathered, !link.deferred.isEmpty else { return }
    var deferred = link.deferred[...]
    link.deferred = []
    take(deferred.removeFirst(), link)
    for message in deferred where links[id] === link { takeInOrder(message, link) }
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
    for message in deferred where links[id] === link { takeInOrder(message, link) }
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
