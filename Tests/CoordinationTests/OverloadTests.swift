import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing
import WebSocket
import WebSocketCore

@testable import Coordination

/// Registers a worker, gives it one task, and reads nothing more.
private final class DeafCoordinator: WebSocketDelegate {
  private let deaf: (WebSocketConnection) -> Void

  init(_ deaf: @escaping (WebSocketConnection) -> Void) { self.deaf = deaf }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
    let message = try? Envelope.open(message.copied, mode: .session)
    switch message?.kind {
    case .registration:
      send(socket, ["type": "registration_ack", "session_id": "s", "resumed": false, "lease_s": 3_600])
    case .stateSync:
      let task: JSONObject = ["kind": "scripted", "input": [:]]
      send(socket, ["type": "task_assignment", "task_id": "t", "attempt": 1, "task": .object(task)], sequence: 1)
      socket.pauseReading()
      deaf(socket)
    default: break
    }
  }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}

  private func send(_ socket: WebSocketConnection, _ object: JSONObject, sequence: UInt64? = nil) {
    let body = Array(JSONValue.object(object).text.utf8)
    socket.send(text: Envelope.seal(body, sequence: sequence, acknowledgement: 0))
  }
}

/// What a coordinator does when too much comes at it, and what our own workers and clients make of it; over real sockets.
@Suite(.timeLimit(.minutes(5))) struct OverloadTests {
  /// One is admitted, and then one a second.
  private static let oneASecond = Admission.Limits(rate: 1, burst: 1)

  private static func request(_ target: String) -> String {
    "GET \(target) HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
  }

  private static let worker = request("/api/v1/worker/raw/ws")
  private static let client = request(Protocols.clientPath)

  /// Asks for an upgrade; the connection stays open if it is granted.
  private func upgrade(_ address: SocketAddress, _ request: String) throws -> (socket: BlockingSocket, head: String) {
    let socket = try BlockingSocket(to: address)
    try socket.send(request)
    var head = ""
    while !head.hasSuffix("\r\n\r\n") {
      let byte = try socket.receive(exactly: 1)
      if byte.isEmpty { break }
      head += String(decoding: byte, as: UTF8.self)
    }
    return (socket, head)
  }

  /// The next frame's first byte and payload; empty at the end of the stream. A server's frame, shorter than 64 KiB.
  private func frame(_ socket: BlockingSocket) throws -> [UInt8] {
    let head = try socket.receive(exactly: 2)
    guard head.count == 2 else { return [] }
    var count = Int(head[1])
    if count == 126 { count = try socket.receive(exactly: 2).reduce(0) { $0 << 8 | Int($1) } }
    return try [head[0]] + socket.receive(exactly: count)
  }

  /// Reads up to the Close frame: its code and reason.
  private func close(_ socket: BlockingSocket) throws -> (code: Int, reason: String) {
    while true {
      let frame = try frame(socket)
      guard let first = frame.first else { return (1006, "") }
      guard first == 0x88, frame.count >= 3 else { continue }
      return (Int(frame[1]) << 8 | Int(frame[2]), String(decoding: frame[3...], as: UTF8.self))
    }
  }

  // MARK: Admission

  @Test func `upgrades beyond the rate are answered 503 with a delay that grows, workers and clients apart`() throws {
    let coordinator = try TestCoordinator { $0.admission.upgrades = Admission.Limits(rate: 0.5, burst: 1) }
    defer { coordinator.stop() }
    let first = try upgrade(coordinator.address, Self.worker)
    #expect(first.head.hasPrefix("HTTP/1.1 101 "))
    let refused = try (0..<3).map { _ in try upgrade(coordinator.address, Self.worker) }
    for (_, head) in refused { #expect(head.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n")) }
    let delays = refused.compactMap { $0.head.firstMatch(of: /Retry-After: (\d+)\r\n/).flatMap { Int($0.1) } }
    #expect(delays == [2, 4, 6])
    let body = String(decoding: try refused[0].socket.receiveToEnd(), as: UTF8.self)
    #expect(body == #"{"error":"too many connect at once; come back later"}"#)
    #expect(try upgrade(coordinator.address, Self.client).head.hasPrefix("HTTP/1.1 101 "))
    #expect(try upgrade(coordinator.address, Self.client).head.contains("\r\nRetry-After: 2\r\n"))
  }

  @Test func `beyond all places one is told so, and beyond those of an address as well`() throws {
    for perAddress in [false, true] {
      let coordinator = try TestCoordinator {
        if perAddress { $0.admission.maxConnectionsPerAddress = 2 } else { $0.admission.maxConnections = 2 }
      }
      let first = try upgrade(coordinator.address, Self.worker)
      // Counted while it still says nothing.
      let silent = try BlockingSocket(to: coordinator.address)
      try silent.send("GET")
      let third = try upgrade(coordinator.address, Self.client)
      #expect(third.head.hasPrefix(perAddress ? "HTTP/1.1 429 " : "HTTP/1.1 503 "), "\(third.head)")
      #expect(third.head.contains("\r\nRetry-After: 10\r\n"))
      let body = String(decoding: try third.socket.receiveToEnd(), as: UTF8.self)
      #expect(body.contains(perAddress ? "--max-connections-per-address" : "--max-connections"))
      third.socket.close()
      first.socket.close()
      silent.close()
      _ = try eventually("a free place") {
        try upgrade(coordinator.address, Self.client).head.hasPrefix("HTTP/1.1 101 ") ? true : nil
      }
      coordinator.stop()
    }
  }

  @Test func `a refused worker waits as it was told and is then let in`() throws {
    let coordinator = try TestCoordinator { $0.admission.upgrades = Self.oneASecond }
    defer { coordinator.stop() }
    let log = EventLog<LogEntry>("worker")
    let first = try ScriptedWorker(.short("w1", coordinator.url))
    _ = coordinator.registered("w1")
    var settings = WorkerSettings.short("w2", coordinator.url)
    settings.log = { log.put($0) }
    let second = try ScriptedWorker(settings)
    _ = coordinator.registered("w2")
    #expect(second.statistics.failures >= 1)
    let failure = try log.first("refusal") { $0.message == "connection failed" }
    #expect(failure.facts.contains { $0.value.contains("503") })
    // Its own delays are at most 200 ms.
    let wait = try log.first("wait") { $0.message == "reconnecting" }.facts.first { $0.key == "in" }?.value ?? ""
    let milliseconds = try #require(Int(wait.prefix { $0.isNumber }))
    #expect((1_000...3_000).contains(milliseconds), "\(wait)")
    first.stop()
    second.stop()
  }

  @Test func `a refused client waits as it was told and is then answered`() throws {
    let coordinator = try TestCoordinator { $0.admission.upgrades = Self.oneASecond }
    defer { coordinator.stop() }
    let url = coordinator.url
    let causes = EventLog<String?>("connection")
    try withLoop { loop in
      var settings = ClientSettings()
      settings.coordinator = url
      let first = try CoordinatorClient(settings, on: loop)
      var second: CoordinatorClient?
      first.request("list_workers") { _ in
        second = try? CoordinatorClient(settings, on: loop)
        second?.onConnectionChange = { causes.put($0) }
        second?.request("list_workers") { answer in
          if case .failure(let error) = answer { Issue.record("\(error)") }
          first.close()
          second?.close()
          loop.stop()
        }
      }
    }
    #expect(causes.all.first.flatMap { $0 }?.contains("503") == true)
    #expect(causes.all.last == .some(nil))
    #expect(causes.all.count <= 4, "without heeding the delay it would have knocked more often")
  }

  // MARK: Slow readers and eager askers

  /// A masked text frame, with a mask of zeros.
  private func textFrame(_ text: String) -> [UInt8] {
    let payload = Array(text.utf8)
    precondition(payload.count < 126)
    return [0x81, 0x80 | UInt8(payload.count), 0, 0, 0, 0] + payload
  }

  private func submitMany(_ coordinator: TestCoordinator) {
    let submissions = (0..<500).map { number in
      TaskSubmission(
        TaskSpecification(
          name: String(repeating: "long name ", count: 20),
          work: .custom(kind: "nobody", input: ["n": .integer(number)])
        ))
    }
    guard case .submitted = coordinator.ask(.submit(submissions)) else {
      Issue.record("not submitted")
      return
    }
  }

  @Test func `a client that asks and does not read is held back, dropped in time, and told why`() throws {
    let log = EventLog<LogEntry>("coordinator")
    let coordinator = try TestCoordinator {
      $0.admission.slowReaders.timeout = .milliseconds(400)
      $0.log = { log.put($0) }
    }
    defer { coordinator.stop() }
    submitMany(coordinator)
    let slow = try BlockingSocket(to: coordinator.address, receiveBufferBytes: 4_096)
    try slow.send(Self.client)
    // Two gigabytes of answers.
    for number in 0..<10_000 { try slow.send(textFrame(#"{"type":"list_tasks","request_id":\#(number)}"#)) }
    let entry = try log.first("drop") { $0.message == "a peer that does not read is dropped" }
    let reason = entry.facts.first { $0.key == "reason" }?.value ?? ""
    #expect(reason.contains("bytes were not read"))
    let bytes = try #require(Int(reason.prefix { $0.isNumber }))
    // What waits is what was in flight when it stopped to read, and not what it asked for.
    #expect(bytes < AdmissionSettings.maxUnreadBytes)
    // Others are served.
    #expect(try upgrade(coordinator.address, Self.client).head.hasPrefix("HTTP/1.1 101 "))
    // All that was sent to it and the reason; or a reset, when it takes too long to read them.
    while let part = try? slow.receive(), !part.isEmpty {}
    let dropped: Int = coordinator.onLoop { runtime, answer in answer.put(runtime.readings.slowReadersDropped) }
    #expect(dropped == 1)
  }

  @Test func `a client that asks much at once is answered in full, a few at a time`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let (socket, head) = try upgrade(coordinator.address, Self.client)
    #expect(head.hasPrefix("HTTP/1.1 101 "))
    let count = 20 * ClientSocket.maxRequestsInFlight
    var frames: [UInt8] = []
    for number in 0..<count { frames += textFrame(#"{"type":"count_tasks","request_id":\#(number)}"#) }
    try socket.send(frames)
    var seen: Set<Int64> = []
    while seen.count < count {
      let bytes = try frame(socket)
      guard let object = try JSONParser.parse(Array(bytes.dropFirst())).object else { break }
      #expect(object["type"] == "reply")
      if let number = object["request_id"]?.integer { seen.insert(number) }
    }
    #expect(seen.count == count)
  }

  @Test func `a worker whose coordinator does not read holds its commands back, and goes on when it does`() throws {
    let sockets = Exchange<LoopBound<WebSocketConnection>>()
    let server = try RunningServer { loop in
      var configuration = WebSocketConfiguration()
      configuration.maxMessageBytes = 4 << 20
      configuration.maxFrameBytes = 4 << 20
      let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) { _ in
        .accept(subprotocol: Protocols.session, delegate: DeafCoordinator { sockets.put(LoopBound($0, to: loop)) })
      }
      return server.localAddress
    }
    defer { server.stop() }
    var settings = WorkerSettings.short("w1", "ws://127.0.0.1:\(server.address.port ?? 0)")
    settings.heartbeatTimeout = .seconds(60)
    let worker = try ScriptedWorker(settings)
    guard case .start(let key, _) = worker.orders.take() else {
      Issue.record("a start was due")
      return
    }
    let socket = sockets.take()
    // More than the kernel holds for both, and less than would end the connection.
    let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 10)
    var written = 0
    while worker.hasRoom(key), written < 64 << 20 {
      worker.write(key, offset: written, piece)
      written += piece.count
    }
    #expect(!worker.hasRoom(key))
    #expect(written < 32 << 20)
    server.thread.mailbox.post { socket.value.resumeReading() }
    try eventually("room") { worker.hasRoom(key) ? true : nil }
    #expect(worker.statistics.disconnections == 0)
    worker.vanish()
  }

  // MARK: Draining

  @Test func `a drain closes with a hint, refuses who comes meanwhile, and ends when all are gone`() throws {
    let coordinator = try TestCoordinator { $0.log = Trace.log("coordinator") }
    let sockets = try (0..<60).map { number in
      try upgrade(coordinator.address, Self.request("/api/v1/worker/w\(number)/ws")).socket
    }
    let ended = Exchange<Bool>()
    // One every tenth of a second, so that the test has time to look on.
    let isDraining: [Bool] = coordinator.onLoop { runtime, answer in
      let before = runtime.isDraining
      runtime.drain(within: .seconds(5), atLeast: 1) { ended.put(true) }
      answer.put([before, runtime.isDraining])
    }
    #expect(isDraining == [false, true])
    let first = try close(sockets[0])
    #expect(first.code == 1012)
    #expect(first.reason.hasSuffix("; the coordinator is restarting"), "\(first.reason)")
    let hint = try #require(RetryHint.delay(ofClose: 1012, reason: first.reason))
    #expect(hint > .seconds(2) && hint <= .milliseconds(5_500))
    let refused = try upgrade(coordinator.address, Self.worker)
    #expect(refused.head.hasPrefix("HTTP/1.1 503 "))
    #expect(refused.head.contains(/\r\nRetry-After: [1-6]\r\n/))
    refused.socket.close()
    for socket in sockets.dropFirst() {
      #expect(try close(socket).reason == first.reason, "all wait equally long")
      socket.close()
    }
    #expect(ended.take())
    coordinator.stop()
  }

  @Test func `a worker sent away by a drain keeps its attempt and goes on with it under the next coordinator`() throws {
    let folder = TemporaryDirectory()
    let store = folder.file("tasks.db")
    let first = try TestCoordinator {
      $0.store = .sqlite(path: store)
      $0.useShortTimes(lease: .seconds(20))
    }
    let port = first.address.port ?? 0
    let log = EventLog<LogEntry>("worker")
    var settings = WorkerSettings.short("w1", first.url)
    settings.log = { log.put($0) }
    let worker = try ScriptedWorker(settings)
    let id = try first.submit("kept")
    guard case .start(let key, _) = worker.orders.take() else {
      Issue.record("a start was due")
      return
    }
    let _: Bool = first.onLoop { runtime, answer in runtime.drain(within: .seconds(5)) { answer.put(true) } }
    first.stop()
    let reason = try log.first("close") { $0.message == "disconnected" }.facts.first?.value ?? ""
    #expect(reason.contains("1012") && reason.contains("retry after 0.5 s"), "\(reason)")
    let wait = try log.first("wait") { $0.message == "reconnecting" }.facts.first { $0.key == "in" }?.value ?? ""
    #expect((500...800).contains(Int(wait.prefix { $0.isNumber }) ?? 0), "\(wait)")
    let second = try TestCoordinator {
      $0.store = .sqlite(path: store)
      $0.port = port
      $0.useShortTimes(lease: .seconds(20))
    }
    _ = second.registered("w1")
    worker.end(key, AttemptEnding(.completed))
    let detail = try second.ended(id)
    #expect(detail.attempts.map(\.outcome) == [.completed])
    worker.stop()
    second.stop()
  }

  @Test func `a drained worker hands back behind its checkpoint and others go on at once`() throws {
    let coordinator = try TestCoordinator { $0.useShortTimes(lease: .seconds(20)) }
    defer { coordinator.stop() }
    var settings = WorkerSettings.short("w1", coordinator.url)
    settings.drainTimeout = .milliseconds(100)
    let leaving = try ScriptedWorker(settings)
    let id = try coordinator.submit("handed")
    guard case .start(let key, _) = leaving.orders.take() else {
      Issue.record("a start was due")
      return
    }
    leaving.drain()
    #expect(leaving.orders.take() == .checkpoint(key))
    leaving.checkpoint(key, ["step": 4])
    #expect(leaving.orders.take() == .stop(key, .draining))
    let other = try ScriptedWorker(.short("w2", coordinator.url))
    #expect(other.orders.take() == .start(AttemptKey(id, 2), checkpoint: ["step": 4]))
    other.end(AttemptKey(id, 2), AttemptEnding(.completed))
    let detail = try coordinator.ended(id)
    #expect(detail.attempts.map(\.outcome) == [.lost, .completed])
    #expect(detail.attempts[0].isHandedBack)
    #expect(detail.task.state.lostAttempts == 0)
    leaving.vanish()
    other.stop()
  }
}
