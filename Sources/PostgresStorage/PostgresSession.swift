import CoordinationCore
import PostgreSQL
import Primitives
import Reactor
import Storage

/// The store's life on its loop: takes requests in order, forms transactions of them, and sees that each is done once.
///
/// There is one transaction with changes at a time. A member's transactions are numbered; the number goes into the member's
/// row with what the transaction does, so that after a broken connection the row tells whether it was done.
final class PostgresSession {
  enum Phase: Equatable {
    /// There was no connection yet; until the deadline what is asked for waits.
    case connecting
    case up
    /// It cannot be reached, for this reason; changes wait once there was a connection.
    case away(String)
    /// It never was what it should be.
    case failed(StoreError)
    case closed
  }

  /// How long the first connection may take.
  static let maxFirstConnection = Duration.seconds(10)
  /// Writes and bytes after which a group of commits is closed, so that the first of them need not wait for all.
  static let maxGroupedWrites = 8_192
  static let maxGroupedBytes = 16 << 20
  /// Tasks that a renewal takes over at most; the next one goes on.
  static let maxTakenOver = 5_000
  /// Notifications that the pool has changed are no closer than this: each costs every transaction of the database.
  static let noticeInterval = Duration.milliseconds(20)
  /// Needs whose numbers are remembered.
  static let maxKnownNeeds = 10_000

  let loop: EventLoop
  private let address: PostgresAddress
  let store: String
  let rows: TaskRows
  let statistics: PostgresStatistics
  let log: (String) -> Void
  let changes: PostgresLane
  let questions: PostgresLane
  let setup = LaneSetup()
  var onSignal: (StoreSignal) -> Void = { _ in }

  var phase = Phase.connecting
  var wasUp = false
  /// Since when there has been a connection for what changes something, and whether there was one before.
  private var upSince: Instant = .zero
  private var hasReturned = false
  var waiting = RequestQueue()
  /// The transaction that is under way, or is to be repeated.
  var batch: Batch?
  /// Whether an answer about it is waited for.
  var isUnderWay = false
  var isPumping = false
  /// How many of the next commits get a transaction of their own: one of them made a group fail.
  var isolated = 0
  var needs: [TaskNeeds: Int64] = [:]
  /// How often it is looked for needs that no unfinished task has, and those that were found.
  var needsInterval = Duration.seconds(600)
  var needsLookedAt: Instant?
  var unusedNeeds: [Int64] = []

  var member: MemberID?
  var isFenced = false
  var lease = Duration.zero
  var lastNumber: Int64 = 0

  private var isClosing = false
  /// Questions on their way.
  var asked = 0
  /// Questions until the first connection for them stands.
  var postponed: [(StoreQuestion, StoreRequest)] = []
  var isListening = false
  var listened = false
  private var deadline: Timer?
  private var noticeTimer: Timer?
  private var lastNotice: Instant?

  init(
    _ address: PostgresAddress, on loop: EventLoop, _ statistics: PostgresStatistics, _ log: @escaping (String) -> Void
  ) {
    self.loop = loop
    self.address = address
    self.statistics = statistics
    self.log = log
    needsLookedAt = loop.now
    store = address.shown
    rows = TaskRows(store: store)
    let setup = setup
    changes = PostgresLane(address, on: loop) { setup.prepareChanges($0, $1) }
    questions = PostgresLane(address, on: loop) { setup.prepareQuestions($0, $1) }
  }

  func start() {
    changes.onUp = { [weak self] in self?.changesUp() }
    changes.onDown = { [weak self] error in self?.laneDown(error) }
    questions.onUp = { [weak self] in self?.questionsUp() }
    questions.onDown = { [weak self] error in
      self?.isListening = false
      self?.laneDown(error)
    }
    questions.onNotification = { [weak self] _, text in self?.notified(text) }
    deadline = loop.schedule(after: Self.maxFirstConnection) { [weak self] in self?.firstConnectionIsLate() }
    changes.start()
  }

  // MARK: Connections

  private func changesUp() {
    upSince = loop.now
    hasReturned = wasUp
    // The tables are there now.
    if questions.isReady, setup.isSplit { questions.drop(Self.otherServer) }
    if !wasUp { questions.start() }
    bothUp()
    resume()
  }

  private static let otherServer = "the database is at another server by now"

  /// Whether members that are silent have been silent for long enough to be ended: whoever was back first waits until the
  /// others can be back as well.
  var mayEndOthers: Bool { loop.now - upSince >= (hasReturned ? max(lease, PostgresLane.maxReturn) : lease) }

  private func questionsUp() {
    // A server that fell silent keeps one connection until an answer is late; the newer one knows better.
    if changes.isReady, setup.isSplit { changes.drop(Self.otherServer) }
    bothUp()
    if member != nil { listen() }
    let questions = postponed
    postponed = []
    for (question, request) in questions { answer(question, request) }
  }

  private func bothUp() {
    guard changes.isReady, questions.isReady, phase != .up, phase != .closed else { return }
    deadline?.cancel()
    let isFirst = !wasUp
    wasUp = true
    phase = .up
    if !isFirst {
      log("the store \(store) can be reached again")
      onSignal(.reachable(true))
    }
    resume()
  }

  private func laneDown(_ error: PostgresError) {
    switch phase {
    case .closed, .failed: return
    case .connecting:
      lastProblem = error.description
      if error.kind == .refused || (error.kind == .statement && !error.endsConnection && !error.isConflict) {
        fail(.refused(store: store, reason: error.description))
      }
    case .up:
      phase = .away(error.description)
      log("the store \(store) cannot be reached: \(error)")
      onSignal(.reachable(false))
      failQuestions()
      // Who wants to end does not wait for a database that may never come back.
      if isClosing, let awayError { failAll(awayError) }
    case .away: phase = .away(error.description)
    }
  }

  private var lastProblem = "no connection yet"

  private func firstConnectionIsLate() {
    guard phase == .connecting else { return }
    phase = .away(lastProblem)
    let error = StoreError.unreachable(store: store, reason: lastProblem)
    failAll(error)
  }

  private func fail(_ error: StoreError) {
    phase = .failed(error)
    deadline?.cancel()
    changes.stop()
    questions.stop()
    failAll(error)
  }

  private func failAll(_ error: StoreError) {
    isUnderWay = false
    if let batch = batch.take() { for request in batch.requests { finish(request, error) } }
    for request in waiting.remove(where: { if case .close = $0 { false } else { true } }) { finish(request, error) }
    let questions = postponed
    postponed = []
    asked -= questions.count
    for (_, request) in questions { finish(request, error) }
    endListening(error)
    pump()
  }

  /// While the store is away nothing that is only read waits for it.
  private func failQuestions() {
    guard let error = awayError else { return }
    for request in waiting.remove(where: { if case .read = $0 { true } else { false } }) { finish(request, error) }
  }

  var awayError: StoreError? {
    switch phase {
    case .away(let reason): .unreachable(store: store, reason: reason)
    case .failed(let error): error
    case .closed: .closed
    case .connecting, .up: nil
    }
  }

  /// For tests: an answer that takes longer counts as none.
  func expectAnswers(within limit: Duration) { (changes.maxSilence, questions.maxSilence) = (limit, limit) }

  // MARK: Requests

  func add(_ request: StoreRequest) {
    switch request {
    case .close:
      isClosing = true
      if let awayError { failAll(awayError) }
      waiting.append(request)
    case .read:
      if let error = awayError { return finish(request, error) }
      waiting.append(request)
    case .renew:
      if case .failed(let error) = phase { return finish(request, error) }
      // Nothing may keep a member from staying one.
      if member != nil, !isFenced { waiting.prepend(request) } else { waiting.append(request) }
    default:
      if let error = awayError, !wasUp { return finish(request, error) }
      waiting.append(request)
    }
    pump()
  }

  func finish(_ request: StoreRequest, _ error: StoreError) {
    settled(request)
    request.fail(error)
  }

  /// A request has been answered, or is about to be.
  func settled(_ request: StoreRequest) {
    if case .close = request { return }
    statistics.finished(request)
  }

  /// Begins what can begin, in order.
  func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while batch == nil, let request = waiting.first {
      switch request {
      case .read(let question):
        _ = waiting.popFirst()
        ask(question, request)
      case .send(let text, let to):
        _ = waiting.popFirst()
        settled(request)
        send(text, to)
      case .close(let completion):
        guard asked == 0 else { return }
        _ = waiting.popFirst()
        close(completion)
      default:
        // The first time both must stand: who was answered once is told when the store is away.
        guard changes.isReady, wasUp else { return }
        begin()
      }
    }
  }

  private func close(_ completion: @escaping @Sendable () -> Void) {
    phase = .closed
    deadline?.cancel()
    noticeTimer?.cancel()
    if needsNotice, questions.isReady { notice() }
    // What was told last is sent before the connection goes.
    guard questions.isReady else { return ended(completion) }
    questions.run([.sql("SELECT 1")]) { [self] _ in ended(completion) }
  }

  private func ended(_ completion: @Sendable () -> Void) {
    endListening(.closed)
    changes.stop()
    questions.stop()
    completion()
  }

  // MARK: Questions

  private func ask(_ question: StoreQuestion, _ request: StoreRequest) {
    if let error = awayError { return finish(request, error) }
    if isFenced {
      switch question {
      case .poolNeeds, .poolStatus: return finish(request, .fenced)
      default: break
      }
    }
    asked += 1
    guard questions.isReady else {
      postponed.append((question, request))
      return
    }
    answer(question, request)
  }

  private func answer(_ question: StoreQuestion, _ request: StoreRequest) {
    let rows = rows
    switch question {
    case .unfinished(let completion):
      run([ReadStatements.unfinished], request, completion) { (results) throws(StoreError) in
        try rows.unfinished(results[0])
      }
    case .tasks(let filter, let completion):
      run([ReadStatements.page(filter)], request, completion) { (results) throws(StoreError) in
        try rows.records(results[0])
      }
    case .task(let id, let completion):
      run(ReadStatements.detail(id), request, completion) { (results) throws(StoreError) in try rows.detail(results) }
    case .counts(let run, let completion):
      self.run([ReadStatements.counts(run: run)], request, completion) { rows.counts($0[0]) }
    case .tests(let filter, let completion):
      run([ReadStatements.tests(filter)], request, completion) { rows.tests($0[0]) }
    case .runPart(let name, let number, let completion):
      run([ReadStatements.runPart(name, number)], request, completion) { (results) throws(StoreError) in
        try rows.runPart(name, number, results[0])
      }
    case .poolNeeds(let completion):
      run([ReadStatements.poolNeeds], request, completion) { (results) throws(StoreError) in
        try rows.needs(results[0])
      }
    case .poolStatus(let completion):
      run([ReadStatements.poolStatus], request, completion) { rows.pool($0[0]) }
    }
  }

  private func run<T>(
    _ calls: [PostgresCall], _ request: StoreRequest, _ completion: @escaping StoreCompletion<T>,
    _ read: @escaping ([PostgresResult]) throws(StoreError) -> T
  ) {
    questions.run(calls) { [self] answer in
      asked -= 1
      settled(request)
      switch answer {
      case .success(let results):
        do throws(StoreError) { completion(.success(try read(results))) } catch { completion(.failure(error)) }
      case .failure(let error): completion(.failure(storeError(error)))
      }
      pump()
    }
  }

  func storeError(_ error: PostgresError) -> StoreError { error.storeError(store) }

  func openFiles(_ limits: ContentLimits) -> PostgresFiles {
    PostgresFiles(FileSession(address, setup, limits, on: loop, log), on: loop)
  }

  // MARK: Notifications

  private var commonChannel: String { "lifeline_\(setup.cluster)" }
  private func channel(of member: MemberID) -> String { "lifeline_\(setup.cluster)_\(member)" }

  /// Begins to listen for what others tell; `joined` waits for it.
  func listen() {
    guard let member, questions.isReady else { return }
    questions.run([
      MemberStatements.unlisten(), MemberStatements.listen(commonChannel),
      MemberStatements.listen(channel(of: member)),
    ]) { [self] answer in
      guard case .success = answer, member == self.member else { return }
      isListening = true
      let bodies = whenListening
      whenListening = []
      for body in bodies { body(.success(())) }
      if listened { onSignal(.mayHaveMissed) }
      listened = true
    }
  }

  /// Who has joined, and waits for what others tell.
  var whenListening: [(Result<Void, StoreError>) -> Void] = []

  private func endListening(_ error: StoreError) {
    let bodies = whenListening
    whenListening = []
    for body in bodies { body(.failure(error)) }
  }

  private func send(_ text: String, _ to: MemberID?) {
    guard let member, !isFenced, questions.isReady, text.utf8.count <= Self.maxMessageBytes, !text.utf8.contains(0)
    else { return }
    tell("m\(member):\(text)", on: to.map(channel) ?? commonChannel)
  }

  static let maxMessageBytes = PostgresStore.maxMessageBytes

  func tell(_ text: String, on channel: String) {
    questions.run([MemberStatements.notify(channel, text)]) { _ in }
  }

  func tellOfLeaving(_ member: MemberID) {
    if questions.isReady { tell("l\(member):", on: commonChannel) }
  }

  private func notified(_ text: String) {
    guard let member, let colon = text.firstIndex(of: ":"), let kind = text.first,
      let number = Int64(text[text.index(after: text.startIndex)..<colon])
    else { return }
    let sender = MemberID(number)
    guard sender != member else { return }
    switch kind {
    case "m": onSignal(.message(String(text[text.index(after: colon)...]), from: sender))
    case "p": onSignal(.poolChanged)
    case "l": onSignal(.memberLeft)
    default: break
    }
  }

  private var needsNotice = false

  /// Others should look at the pool: told at once, and then no more often than the interval.
  func poolChanged() {
    guard member != nil else { return }
    needsNotice = true
    guard noticeTimer?.isActive != true else { return }
    let elapsed = lastNotice.map { loop.now - $0 } ?? Self.noticeInterval
    if elapsed >= Self.noticeInterval { return notice() }
    noticeTimer = loop.schedule(after: Self.noticeInterval - elapsed) { [weak self] in self?.notice() }
  }

  private func notice() {
    guard needsNotice, let member, questions.isReady else { return }
    needsNotice = false
    lastNotice = loop.now
    tell("p\(member):", on: commonChannel)
  }
}

extension PostgresError {
  func storeError(_ store: String) -> StoreError {
    switch (kind, code) {
    case (.connection, _), (.refused, _): .unreachable(store: store, reason: message)
    case (.statement, "53100"): .diskFull(path: store)
    case (.statement, let code) where isConflict || code.hasPrefix("53") || code.hasPrefix("58"):
      .ioError(path: store, reason: description)
    case (.statement, let code): .other(code: Int32(code) ?? -1, message: "\(store): \(self)")
    }
  }
}
