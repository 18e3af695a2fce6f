import Authentication
public import CoordinationCore
import Primitives
public import Reactor
import WebSocket
import WebSocketCore

/// A client of the coordinator, speaking `lifeline.client.v1`: it connects by itself, again and again, asks whatever was
/// not answered once more after a reconnection, and takes up its watch again.
///
/// Every request may thus reach the coordinator twice; they are all made so that the second time changes nothing (tasks
/// are submitted under ids that the client chose). Whoever makes it keeps it; one that is dropped answers nothing more.
/// Not `Sendable`; everything is called on the loop.
public final class CoordinatorClient {
  /// What a request may have in bytes; the coordinator refuses more.
  public static let maxRequestBytes = Protocols.maxMessageBytes
  /// Answers are larger than requests: a task with its output, a page of tasks.
  private static let maxAnswerBytes = 64 << 20
  private static let unavailableDelay: Duration = .seconds(1)

  public typealias Completion = (Result<JSONObject, ClientError>) -> Void

  private struct Pending {
    let bytes: [UInt8]
    /// A message of `FileFrames`, and no text.
    var isFile = false
    var isSent = false
    /// Since when coordinators answer that they cannot, now.
    var unavailableSince: Instant?
    let completion: (Result<FileFrames.Frame, ClientError>) -> Void
  }

  private let frames = FileFrames(nil, .worker)

  public let loop: EventLoop
  private let settings: ClientSettings
  private let dialer: CoordinatorDialer<ClientLink>
  private var link: ClientLink?
  private var isOpen = false
  private var openedAt = Instant.zero
  private var backoff: Backoff
  private var reconnectTimer: Timer?
  private var patienceTimer: Timer?
  private var lastCause = "nothing answers"
  /// Since when no coordinator has answered; `nil` while one does.
  private var outageBegan: Instant?
  private var pending: [Int64: Pending] = [:]
  private var lastRequest: Int64 = 0
  private var watchRequest: WatchRequest?
  private var onWatchEvent: ((WatchEvent) -> Void)?
  /// The newest request for the watch; an older one's answer means nothing.
  private var watchNumber: Int64 = 0
  private var isClosed = false

  /// Called on the loop: `nil` when the coordinator was reached, the reason when it was lost or not reached.
  public var onConnectionChange: ((String?) -> Void)?

  /// Begins to connect.
  public init(_ settings: ClientSettings, on loop: EventLoop) throws(CoordinatorAddresses.Problem) {
    let addresses = try CoordinatorAddresses(settings.coordinator)
    dialer = CoordinatorDialer(try addresses.targeting(Protocols.clientPath), tls: settings.tls, on: loop)
    self.settings = settings
    self.loop = loop
    backoff = Backoff(settings.backoff)
    outageBegan = loop.now
    connect()
    watchPatience()
  }

  // MARK: Asking

  /// Sends a request of the client protocol and calls `completion` once with the reply's members.
  public func request(
    _ type: CoordinationCore.MessageKind, _ fields: JSONObject = [:], _ completion: @escaping Completion
  ) {
    loop.preconditionOnLoop()
    guard !isClosed else { return completion(.failure(.closed)) }
    lastRequest += 1
    var object = fields
    object["request_id"] = .integer(lastRequest)
    let text = Message(type, object).body
    guard text.count <= Self.maxRequestBytes else {
      return completion(.failure(.tooLarge(bytes: text.count, limit: Self.maxRequestBytes)))
    }
    pending[lastRequest] = Pending(bytes: text) { completion($0.map(\.words)) }
    if isOpen { send(lastRequest) } else { watchPatience() }
  }

  /// Sends a question about a file, with a piece of it or without, and calls `completion` once with the answer.
  func ask(_ frame: FileFrames.Frame, _ completion: @escaping (Result<FileFrames.Frame, ClientError>) -> Void) {
    loop.preconditionOnLoop()
    guard !isClosed else { return completion(.failure(.closed)) }
    lastRequest += 1
    var frame = frame
    frame.words["request_id"] = .integer(lastRequest)
    pending[lastRequest] = Pending(bytes: frames.seal(frame), isFile: true, completion: completion)
    if isOpen { send(lastRequest) } else { watchPatience() }
  }

  /// Watches from now on, in place of an earlier watch, until the client is closed.
  public func watch(_ request: WatchRequest, _ onEvent: @escaping (WatchEvent) -> Void) {
    watchRequest = request
    onWatchEvent = onEvent
    if isOpen { establishWatch() }
  }

  /// Closes the connection; requests without an answer fail with `closed`.
  public func close() {
    guard !isClosed else { return }
    fail(.closed)
  }

  /// Ends everything for good.
  private func fail(_ error: ClientError) {
    isClosed = true
    reconnectTimer?.cancel()
    patienceTimer?.cancel()
    let onWatchEvent = self.onWatchEvent.take()
    watchRequest = nil
    let link = link.take()
    isOpen = false
    dialer.cancel()
    link?.leave()
    pending[watchNumber] = nil
    let unanswered = pending.sorted { $0.key < $1.key }.map(\.value.completion)
    pending = [:]
    for completion in unanswered { completion(.failure(error)) }
    onWatchEvent?(.failed(error))
  }

  private func send(_ number: Int64) {
    guard let request = pending[number], !request.isSent else { return }
    pending[number]?.isSent = true
    if request.isFile { link?.send(file: request.bytes) } else { link?.send(request.bytes) }
  }

  private func establishWatch() {
    guard let watchRequest else { return }
    // A watch belongs to its connection, so one that was asked for over an earlier connection is not asked for again.
    pending[watchNumber] = nil
    watchNumber = lastRequest + 1
    request("watch", watchRequest.fields) { [weak self] result in
      switch result {
      case .success: self?.onWatchEvent?(.established)
      case .failure(let error): self?.onWatchEvent?(.failed(error))
      }
    }
  }

  // MARK: Connecting

  private func connect() {
    dialer.start(
      CoordinatorDialer.Round(
        call: { [unowned self] in call($0) }, refusal: { [unowned self] in refusal($0) },
        failed: { [weak self] in self?.notReached($0, retryAfter: $1) }))
  }

  private func call(_ url: WebSocketURL) -> CoordinatorDialer<ClientLink>.Call {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = Self.maxAnswerBytes
    configuration.maxFrameBytes = Self.maxAnswerBytes
    configuration.pingInterval = settings.pingInterval
    configuration.pingTimeout = settings.pingTimeout
    configuration.subprotocols = [Protocols.client]
    let signer = settings.apiKey.map(UpgradeSigner.init)
    let link = ClientLink(
      signer, opened: { [weak self] in self?.opened($0) }, received: { [weak self] in self?.received($0, $1) },
      receivedFile: { [weak self] in self?.receivedFile($0, $1) },
      closed: { [weak self] in self?.closed($0, "\($1)", retryAfter: $1.retryAfter) })
    let headers = signer?.headers(target: url.target, subprotocols: configuration.subprotocols) ?? [:]
    return CoordinatorDialer.Call(link: link, configuration: configuration, headers: headers)
  }

  private func refusal(_ error: WebSocketError) -> CoordinatorDialer<ClientLink>.Refusal {
    if let cause = error.admissionProblem(hasKey: settings.apiKey != nil) {
      return CoordinatorDialer.Refusal(text: cause, verdict: .notAdmitted)
    }
    if let cause = error.permanentCause { return CoordinatorDialer.Refusal(text: cause, verdict: .notACoordinator) }
    return CoordinatorDialer.Refusal(text: "\(error)", retryAfter: error.retryAfter)
  }

  private func opened(_ link: ClientLink) {
    guard dialer.isCalling(link) else { return link.leave() }
    guard link.signer == nil || link.signer?.secret(answered: link.answer) != nil else {
      link.leave()
      let cause = "it asks for no API key, so it is not the coordinator that this key is for"
      return dialer.refuse(link, CoordinatorDialer.Refusal(text: cause, verdict: .notAdmitted))
    }
    guard link.speaksClientProtocol else {
      link.leave()
      let cause = "it does not speak \(Protocols.client)"
      return dialer.refuse(link, CoordinatorDialer.Refusal(text: cause, verdict: .notACoordinator))
    }
    dialer.settle(on: link)
    self.link = link
    isOpen = true
    openedAt = loop.now
    onConnectionChange?(nil)
    // The watch first, so that nothing that a request brings about is missed.
    if watchRequest != nil { establishWatch() }
    for number in pending.keys.sorted() { send(number) }
  }

  /// Nobody of the list let us in.
  private func notReached(_ refusals: [CoordinatorDialer<ClientLink>.Refusal], retryAfter: Duration?) {
    guard !isClosed else { return }
    let cause = CoordinatorDialer<ClientLink>.Refusal.text(refusals)
    // One that may be there soon is worth waiting for, whatever is wrong with the others.
    if refusals.allSatisfy({ $0.verdict != .notNow }) {
      onConnectionChange?(cause)
      let isKnown = refusals.contains { $0.verdict == .notAdmitted }
      return fail(
        isKnown
          ? .notAdmitted(address: settings.coordinator, cause: cause)
          : .notACoordinator(address: settings.coordinator, cause: cause))
    }
    lost(cause, retryAfter: retryAfter)
  }

  private func closed(_ link: ClientLink, _ cause: String, retryAfter: Duration?) {
    guard self.link === link, !isClosed else { return }
    self.link = nil
    lost(cause, retryAfter: dialer.ended(retryAfter: retryAfter))
  }

  private func lost(_ cause: String, retryAfter: Duration?) {
    lastCause = cause
    if isOpen {
      let lasted = loop.now - openedAt
      backoff.sessionLasted(lasted)
      // One that accepts connections and drops them at once does not answer.
      if lasted >= settings.backoff.usefulSession { outageBegan = nil }
    }
    isOpen = false
    outageBegan = outageBegan ?? loop.now
    onConnectionChange?(cause)
    guard !isClosed else { return }
    for number in pending.keys { pending[number]?.isSent = false }
    if let retryAfter { backoff.serverAsked(toWait: retryAfter) }
    var random = SystemRandomNumberGenerator()
    guard let delay = backoff.nextDelay(using: &random) else { return giveUp() }
    reconnectTimer = loop.schedule(after: delay) { [weak self] in self?.connect() }
    watchPatience()
  }

  private func watchPatience() {
    guard let patience = settings.patience, let outageBegan, patienceTimer?.isActive != true else { return }
    patienceTimer = loop.schedule(after: outageBegan + patience - loop.now) { [weak self] in self?.giveUp() }
  }

  private func giveUp() {
    guard !isClosed, !isOpen, outageBegan != nil else { return }
    fail(.unreachable(address: settings.coordinator, cause: lastCause, after: settings.patience ?? .zero))
  }

  // MARK: Answers

  private func received(_ link: ClientLink, _ bytes: [UInt8]) {
    guard self.link === link else { return }
    guard case .object(let object)? = try? JSONParser.parse(bytes, validated: true) else {
      return link.leave()
    }
    outageBegan = nil
    dialer.served()
    patienceTimer?.cancel()
    switch object["type"]?.string {
    case "reply":
      guard let number = object["request_id"]?.integer, let request = pending.removeValue(forKey: number) else {
        return
      }
      request.completion(.success(FileFrames.Frame(object)))
    case "error":
      guard let number = object["request_id"]?.integer, pending[number] != nil else { return }
      failed(number, code: object["code"]?.string ?? "", message: object["message"]?.string ?? "unknown error")
    case "task_changed": if let task = object["task"]?.object { onWatchEvent?(.taskChanged(task)) }
    case "task_output": onWatchEvent?(.output(object))
    default: break  // A newer coordinator may say more.
    }
  }

  private func receivedFile(_ link: ClientLink, _ bytes: [UInt8]) {
    guard self.link === link else { return }
    guard let frame = try? frames.open(bytes) else { return link.abort() }
    outageBegan = nil
    dialer.served()
    patienceTimer?.cancel()
    guard let number = frame.words["request_id"]?.integer else { return }
    pending.removeValue(forKey: number)?.completion(.success(frame))
  }

  private func failed(_ number: Int64, code: String, message: String) {
    guard code == "unavailable" else {
      pending.removeValue(forKey: number)?.completion(.failure(.answered(code: code, message: message)))
      return
    }
    // The store is busy or being repaired: it is waited for as a connection is.
    let since = pending[number]?.unavailableSince ?? loop.now
    pending[number]?.unavailableSince = since
    if let patience = settings.patience, loop.now + Self.unavailableDelay - since > patience {
      pending.removeValue(forKey: number)?.completion(.failure(.answered(code: code, message: message)))
      return
    }
    loop.schedule(after: Self.unavailableDelay) { [weak self] in
      guard let self, self.isOpen else { return }
      self.pending[number]?.isSent = false
      self.send(number)
    }
  }
}

@available(*, unavailable) extension CoordinatorClient: Sendable {}

extension WebSocketError {
  /// What is wrong when the server is there and will not become a coordinator by waiting.
  fileprivate var permanentCause: String? {
    guard case .connection(.handshake(.refused(let refusal))) = self, (400..<500).contains(refusal.status),
      refusal.status != 429, refusal.status != 408
    else { return nil }
    return "it answered with status \(refusal.status)"
  }
}

/// One connection of a client.
private final class ClientLink: WebSocketDelegate {
  /// What proved our key, and knows the answer.
  let signer: UpgradeSigner?
  private let opened: (ClientLink) -> Void
  private let received: (ClientLink, [UInt8]) -> Void
  private let receivedFile: (ClientLink, [UInt8]) -> Void
  private let closed: (ClientLink, CloseReason) -> Void
  private var socket: WebSocketConnection?

  init(
    _ signer: UpgradeSigner?, opened: @escaping (ClientLink) -> Void, received: @escaping (ClientLink, [UInt8]) -> Void,
    receivedFile: @escaping (ClientLink, [UInt8]) -> Void, closed: @escaping (ClientLink, CloseReason) -> Void
  ) {
    self.signer = signer
    self.opened = opened
    self.received = received
    self.receivedFile = receivedFile
    self.closed = closed
  }

  var answer: HTTPHeaders { socket?.responseHeaders ?? [:] }

  var speaksClientProtocol: Bool { socket?.subprotocol == Protocols.client }

  func webSocketDidOpen(_ socket: WebSocketConnection) {
    self.socket = socket
    opened(self)
  }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
    if kind == .text { received(self, message.copied) } else { receivedFile(self, message.copied) }
  }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {
    self.socket = nil
    closed(self, reason)
  }

  func send(_ bytes: [UInt8]) { socket?.send(text: bytes) }

  func send(file bytes: [UInt8]) { socket?.send(file: bytes) }

  func leave() { socket?.close(code: .normal, reason: "") }

  /// What came cannot be trusted; everything is asked again over another connection.
  func abort() { socket?.abort() }
}
