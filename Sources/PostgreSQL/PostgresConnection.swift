import COpenSSL
import CPostgreSQL
public import Primitives
public import Reactor

/// One connection to a PostgreSQL server on a loop, in pipeline mode: what was asked for is under way at once, and answered
/// in order. Nothing here waits.
///
/// Each `run` is a transaction of its own. It goes to the server as a whole, which commits it with its last statement or
/// undoes it with the first that fails (PostgreSQL documentation, "Pipeline Mode").
@safe
public final class PostgresConnection {
  public typealias Answer = Result<[PostgresResult], PostgresError>

  private struct Pending {
    var results: [PostgresResult] = []
    var error: PostgresError?
    let completion: (Answer) -> Void
  }

  private let loop: EventLoop
  // SAFETY: made in `open`, finished in `close`, used on the loop alone.
  private var handle: OpaquePointer?
  private var watcher: DescriptorWatcher?
  private var deadline: Timer?
  private var pending: [Pending] = []
  private var onConnected: ((Result<Void, PostgresError>) -> Void)?
  /// Servers that are still to be tried, and what became of those before them.
  private var places: [PostgresAddress] = []
  private var problems: [PostgresError] = []
  /// The server that is being tried is not to be had.
  private var onRefusal: ((PostgresError) -> Void)?
  private var lastProgress: Instant
  private var isReading = false

  /// Called once when a connection that stood is lost or closed by the server; not after `close`.
  public var onLoss: ((PostgresError) -> Void)?
  /// A channel and what was told on it.
  public var onNotification: ((String, String) -> Void)?

  private init(_ loop: EventLoop) {
    self.loop = loop
    lastProgress = loop.now
  }

  /// Connects to the first server of the address that lets us in and is what `target_session_attrs` says; call on the
  /// loop. `completion` comes once, on the loop, never within this call, unless `close` comes first.
  /// - Parameter limit: for all servers together; one that does not answer takes no more than its share.
  public static func connect(
    _ address: PostgresAddress, within limit: Duration, on loop: EventLoop,
    _ completion: @escaping (Result<Void, PostgresError>) -> Void
  ) -> PostgresConnection {
    loop.preconditionOnLoop()
    let connection = PostgresConnection(loop)
    connection.onConnected = completion
    let end = loop.now + limit
    connection.deadline = loop.schedule(after: limit) { [weak connection] in
      connection?.fail(PostgresError(.connection, "no connection within \(limit)"))
    }
    loop.afterTurn { connection.resolve(address, until: end) }
    return connection
  }

  // MARK: Connecting

  /// libpq would ask the name server itself, and wait for it.
  private func resolve(_ address: PostgresAddress, until end: Instant) {
    let hosts = address.hosts
    guard hosts.contains(where: { !$0.isEmpty && !$0.hasPrefix("/") }) else { return open(address.places, until: end) }
    var found = [[String]](repeating: [], count: hosts.count)
    var missing = hosts.count
    var problem: ResolveError?
    func finish(_ index: Int, _ addresses: [String]) {
      found[index] = addresses
      missing -= 1
      guard missing == 0, onConnected != nil else { return }
      if found.allSatisfy(\.isEmpty), let problem { return fail(PostgresError(.connection, "\(problem)")) }
      open(address.resolved(found).places, until: end)
    }
    for (index, host) in hosts.enumerated() {
      // A folder is a socket's place, and libpq takes an empty address for it.
      if host.isEmpty || host.hasPrefix("/") {
        finish(index, [""])
        continue
      }
      Resolver.resolve(host: host, port: 1, on: loop) { result in
        switch result {
        case .success(let addresses): finish(index, addresses.map(\.host))
        case .failure(let error):
          problem = error
          finish(index, [])
        }
      }
    }
  }

  /// libpq takes a list as well, but waits for ever where nobody answers, when it is not to wait itself.
  private func open(_ places: [PostgresAddress], until end: Instant) {
    guard onConnected != nil else { return }
    self.places = places
    openNext(until: end)
  }

  private func openNext(until end: Instant) {
    guard !places.isEmpty else { return fail(Self.joined(problems)) }
    let share = max(end - loop.now, .zero) / places.count
    let place = places.removeFirst()
    onRefusal = { [weak self] error in
      self?.problems.append(error)
      self?.finish()
      self?.openNext(until: end)
    }
    deadline?.cancel()
    deadline = loop.schedule(after: share) { [weak self] in
      self?.onRefusal?(PostgresError(.connection, "no answer from \(place.shown) within \(share)"))
    }
    open(place)
  }

  /// What to say when no server would have us: that of one that never will, if there is one.
  private static func joined(_ problems: [PostgresError]) -> PostgresError {
    let worst = problems.first { $0.kind == .refused } ?? problems.last
    let text = problems.map(\.message).joined(separator: "; ")
    return PostgresError(worst?.kind ?? .connection, code: worst?.code ?? "", text)
  }

  private func open(_ address: PostgresAddress) {
    var address = address
    address["client_encoding"] = "UTF8"
    if address["fallback_application_name"] == nil { address["fallback_application_name"] = "lifeline" }
    // Asking a Kerberos server would block.
    if address["gssencmode"] == nil { address["gssencmode"] = "disable" }
    let settings = address.settings
    let made = unsafe Self.withCStrings(settings.map(\.name)) { names in
      unsafe Self.withCStrings(settings.map(\.value)) { values in unsafe PQconnectStartParams(names, values, 0) }
    }
    guard let made = unsafe made else { return refuse(PostgresError(.connection, "out of memory")) }
    unsafe handle = unsafe made
    guard unsafe PQstatus(made) != CONNECTION_BAD else { return failConnecting() }
    // So that the codes of errors are in the text, which is all that libpq gives of them.
    _ = unsafe PQsetErrorVerbosity(made, PQERRORS_VERBOSE)
    _ = unsafe PQsetNoticeProcessor(made, { _, _ in }, nil)
    wait(PGRES_POLLING_WRITING)
  }

  private func wait(_ state: PostgresPollingStatusType) {
    guard let handle = unsafe handle else { return }
    let watcher = DescriptorWatcher(descriptor: unsafe PQsocket(handle), on: loop) { [weak self] _ in self?.poll() }
    watcher.watch(reading: state == PGRES_POLLING_READING, writing: state == PGRES_POLLING_WRITING)
    self.watcher = watcher
  }

  private func poll() {
    guard let handle = unsafe handle else { return }
    // It may close this socket and make another.
    watcher?.cancel()
    watcher = nil
    let state = unsafe PQconnectPoll(handle)
    switch state {
    case PGRES_POLLING_READING, PGRES_POLLING_WRITING: wait(state)
    case PGRES_POLLING_OK: connected()
    default: failConnecting()
    }
  }

  private func failConnecting() {
    guard let handle = unsafe handle else { return }
    let text = unsafe String(cString: PQerrorMessage(handle))
    refuse(.connecting(text, needsPassword: unsafe PQconnectionNeedsPassword(handle) != 0))
  }

  private func refuse(_ error: PostgresError) { onRefusal?(error) }

  private func connected() {
    guard let handle = unsafe handle else { return }
    guard unsafe PQsetnonblocking(handle, 1) == 0, unsafe PQenterPipelineMode(handle) == 1 else {
      return fail(PostgresError(.connection, "the connection cannot be used without waiting"))
    }
    (places, problems, onRefusal) = ([], [], nil)
    _ = unsafe PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
    deadline?.cancel()
    deadline = nil
    let watcher = DescriptorWatcher(descriptor: unsafe PQsocket(handle), on: loop) { [weak self] readiness in
      switch readiness {
      case .readable: self?.read()
      case .writable: self?.flush()
      }
    }
    watcher.watch(reading: true, writing: false)
    self.watcher = watcher
    onConnected.take()?(.success(()))
  }

  // MARK: Running

  /// What the server is called to be, such as 150004.
  public var serverVersion: Int {
    guard let handle = unsafe handle else { return 0 }
    return Int(unsafe PQserverVersion(handle))
  }

  /// How many transactions are not answered yet.
  public var pendingTransactions: Int { pending.count }

  /// Since when nothing has come of what is under way; `nil` when nothing is.
  public var waitingSince: Instant? { pending.isEmpty ? nil : lastProgress }

  /// Runs `calls` as one transaction; call on the loop, on a connection that stands. `completion` gets the results in the
  /// order of the calls, on the loop and not within this call; an error of the kind `.statement` means that nothing has
  /// happened. After `close` it is not called.
  public func run(_ calls: [PostgresCall], _ completion: @escaping (Answer) -> Void) {
    loop.preconditionOnLoop()
    guard let handle = unsafe handle, watcher != nil else {
      return loop.afterTurn { completion(.failure(PostgresError(.connection, "the connection is closed"))) }
    }
    if pending.isEmpty { lastProgress = loop.now }
    pending.append(Pending(completion: completion))
    let isSent = calls.allSatisfy { unsafe send($0, handle) }
    guard isSent, unsafe PQpipelineSync(handle) == 1 else {
      let text = unsafe String(cString: PQerrorMessage(handle))
      return loop.afterTurn { self.fail(PostgresError(.connection, text)) }
    }
    flush()
  }

  private func send(_ call: PostgresCall, _ handle: OpaquePointer) -> Bool {
    if case .prepare(let name, let sql) = call.target {
      return unsafe PQsendPrepare(handle, name, sql, 0, nil) == 1
    }
    let parameters = call.parameters
    // One block for all, so that the addresses hold for the call.
    var block: [UInt8] = []
    block.reserveCapacity(parameters.reduce(1) { $0 + ($1.bytes?.count ?? 0) })
    var (places, lengths): ([Int?], [Int32]) = ([], [])
    for parameter in parameters {
      places.append(parameter.bytes == nil ? nil : block.count)
      lengths.append(Int32(clamping: parameter.bytes?.count ?? 0))
      if let bytes = parameter.bytes { block.append(contentsOf: bytes) }
    }
    block.append(0)
    let formats = [Int32](repeating: 1, count: parameters.count)
    let types = parameters.map { Oid($0.type) }
    return unsafe block.withUnsafeBytes { block in
      // SAFETY: each place lies in the block, which is alive for the call.
      let values = unsafe places.map { place in
        unsafe place.flatMap { unsafe block.baseAddress?.advanced(by: $0).assumingMemoryBound(to: CChar.self) }
      }
      let count = Int32(parameters.count)
      switch call.target {
      case .prepared(let name):
        return unsafe PQsendQueryPrepared(handle, name, count, values, lengths, formats, 1) == 1
      case .sql(let sql):
        return unsafe PQsendQueryParams(handle, sql, count, types, values, lengths, formats, 1) == 1
      case .prepare: return false
      }
    }
  }

  private func flush() {
    guard let handle = unsafe handle, let watcher else { return }
    switch unsafe PQflush(handle) {
    case 0: watcher.watch(reading: true, writing: false)
    case 1: watcher.watch(reading: true, writing: true)
    // What the server said before it closed the connection may still be there to read, and says more.
    default: if pending.isEmpty { lose() } else { watcher.watch(reading: true, writing: false) }
    }
  }

  private func read() {
    guard let handle = unsafe handle else { return }
    var isOpen = unsafe PQconsumeInput(handle) == 1
    takeResults()
    // What OpenSSL has read and libpq had no room for: the descriptor says nothing of it.
    while isOpen, let handle = unsafe self.handle, unsafe Self.hasDecrypted(handle) {
      isOpen = unsafe PQconsumeInput(handle) == 1
      takeResults()
    }
    guard unsafe self.handle != nil else { return }
    takeNotifications()
    guard unsafe self.handle != nil else { return }
    let isBad = unsafe PQstatus(handle) == CONNECTION_BAD
    if !isOpen || isBad { return lose() }
    flush()
  }

  private static func hasDecrypted(_ handle: OpaquePointer) -> Bool {
    // SAFETY: under this name libpq hands out its connection's SSL object, or NULL; it is alive as long as the connection.
    guard let session = unsafe PQsslStruct(handle, "OpenSSL") else { return false }
    return unsafe SSL_pending(OpaquePointer(session)) > 0
  }

  private func takeResults() {
    var wasNothing = false
    while !pending.isEmpty, let handle = unsafe handle, unsafe PQisBusy(handle) == 0 {
      guard let raw = unsafe PQgetResult(handle) else {
        // One ends the results of a statement; two in a row: there is nothing.
        if wasNothing { return }
        wasNothing = true
        continue
      }
      wasNothing = false
      lastProgress = loop.now
      let result = unsafe PostgresResult(owning: raw)
      switch unsafe PQresultStatus(raw) {
      case PGRES_PIPELINE_SYNC:
        let done = pending.removeFirst()
        done.completion(done.error.map { .failure($0) } ?? .success(done.results))
      case PGRES_TUPLES_OK, PGRES_COMMAND_OK: pending[0].results.append(result)
      case PGRES_PIPELINE_ABORTED: break
      default:
        if pending[0].error == nil { pending[0].error = unsafe Self.error(raw, call: pending[0].results.count) }
      }
    }
  }

  private func takeNotifications() {
    while let handle = unsafe handle, let notification = unsafe PQnotifies(handle) {
      let channel = unsafe String(cString: notification.pointee.relname)
      let text = unsafe String(cString: notification.pointee.extra)
      unsafe PQfreemem(notification)
      onNotification?(channel, text)
    }
  }

  private static func error(_ result: OpaquePointer, call: Int) -> PostgresError {
    func field(_ code: UnicodeScalar) -> String {
      unsafe PQresultErrorField(result, Int32(code.value)).map { unsafe String(cString: $0) } ?? ""
    }
    let code = field("C")
    var message = field("M")
    if message.isEmpty { message = unsafe String(cString: PQresultErrorMessage(result)) }
    return PostgresError(code.isEmpty ? .connection : .statement, code: code, message, call: call)
  }

  // MARK: Ending

  /// Lets go of the connection; nothing is called any more. Call on the loop.
  public func close() {
    loop.preconditionOnLoop()
    onConnected = nil
    onLoss = nil
    onNotification = nil
    pending = []
    (places, onRefusal) = ([], nil)
    finish()
  }

  private func finish() {
    deadline?.cancel()
    deadline = nil
    watcher?.cancel()
    watcher = nil
    if let handle = unsafe handle.take() { unsafe PQfinish(handle) }
  }

  private func lose() {
    guard let handle = unsafe handle else { return }
    let said = pending.first?.error
    let text = unsafe String(cString: PQerrorMessage(handle))
    let reason = said?.description ?? (text.isEmpty ? "the server closed the connection" : text)
    fail(PostgresError(.connection, code: said?.code ?? "", reason.trimmedOfNewlines))
  }

  private func fail(_ error: PostgresError) {
    (places, onRefusal) = ([], nil)
    finish()
    let (connecting, loss, unanswered) = (onConnected.take(), onLoss.take(), pending)
    pending = []
    onNotification = nil
    if let connecting { return connecting(.failure(error)) }
    for transaction in unanswered { transaction.completion(.failure(PostgresError(.connection, "\(error)"))) }
    loss?(error)
  }

  private static func withCStrings<T>(
    _ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> T
  ) -> T {
    var block: [CChar] = []
    var places: [Int] = []
    for text in texts {
      places.append(block.count)
      block.append(contentsOf: text.utf8CString)
    }
    block.append(0)
    return unsafe block.withUnsafeBufferPointer { block in
      // SAFETY: each place lies in the block, which is alive for the call; the list ends with NULL.
      let pointers = unsafe places.map { place in unsafe block.baseAddress?.advanced(by: place) } + [nil]
      return unsafe pointers.withUnsafeBufferPointer { list in
        guard let first = list.baseAddress else { preconditionFailure("a list with an end has an address") }
        return unsafe body(first)
      }
    }
  }
}

extension String {
  var trimmedOfNewlines: String {
    split(separator: "\n").joined(separator: "; ")
  }
}

@available(*, unavailable) extension PostgresConnection: Sendable {}
