import Authentication
import CoordinationCore
import Glibc
import Primitives
import Reactor
import Storage
import TestSupport
import Testing
import WebSocket

@testable import Coordination

/// What a coordinator answers to ordinary HTTP requests, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct CoordinatorResourceTests {
  private struct Answer {
    let status: Int
    let head: String
    let body: String
  }

  private func ask(_ coordinator: TestCoordinator, _ request: String) throws -> Answer {
    let socket = try BlockingSocket(to: coordinator.address)
    try socket.send(request)
    let bytes = try socket.receiveToEnd()
    let end = try #require(bytes.firstRange(of: Array("\r\n\r\n".utf8)))
    let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
    let status = try #require(Int(head.dropFirst("HTTP/1.1 ".count).prefix(3)))
    return Answer(status: status, head: head, body: String(decoding: bytes[end.upperBound...], as: UTF8.self))
  }

  private func get(_ coordinator: TestCoordinator, _ path: String, _ method: String = "GET") throws -> Answer {
    try ask(coordinator, "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
  }

  private func metrics(_ coordinator: TestCoordinator) throws -> ExpositionReader {
    let answer = try get(coordinator, "/metrics")
    #expect(answer.status == 200)
    return try ExpositionReader(Array(answer.body.utf8))
  }

  private func workers(_ coordinator: TestCoordinator, _ count: Int) throws -> EventLoopThread {
    let url = coordinator.url
    let thread = try EventLoopThread(name: "workers") { loop in
      for number in 1...count {
        do {
          _ = try WorkerRuntime.start(.short("w\(number)", url, slots: 4), executors: [InstantExecutor()], on: loop)
        } catch { Issue.record("\(error)") }
      }
    }
    var waiting = Set((1...count).map { "w\($0)" })
    while !waiting.isEmpty {
      // In whatever order they come.
      waiting.remove(
        coordinator.notice { if case .workerRegistered(let id, _, _) = $0 { id.text } else { nil } })
    }
    return thread
  }

  @Test(.enabled(if: access("/usr/bin/curl", X_OK) == 0)) func `curl reads health, readiness and metrics`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    func curl(_ path: String, _ arguments: String...) throws -> [String] {
      let url = "http://127.0.0.1:\(coordinator.address.port ?? 0)\(path)"
      let process = try TestProcess("/usr/bin/curl", ["-sS", "-i", "--max-time", "10"] + arguments + [url])
      #expect(try process.exit() == .exited(0))
      return process.output.all
    }
    let health = try curl("/healthz")
    #expect(health.first == "HTTP/1.1 200 OK\r")
    #expect(health.last == #"{"status":"ok"}"#)
    #expect(try curl("/readyz").last == #"{"status":"ready"}"#)
    let metrics = try curl("/metrics")
    #expect(metrics.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r"))
    #expect(metrics.contains("lifeline_ready 1"))
    let head = try curl("/metrics", "--head")
    #expect(head.first == "HTTP/1.1 200 OK\r")
    #expect(head.last == "\r")
    #expect(try curl("/healthz", "--data", "x").first == "HTTP/1.1 405 Method Not Allowed\r")
  }

  @Test(arguments: [
    ("/", 302), ("/api/v1/client/ws", 426), ("/api/v1/worker/w1/ws", 426), ("/nothing", 404), ("/metrics/", 404),
    ("/api/v1/worker/%00/ws", 400), ("/metrics?name[]=x", 200),
  ]) func `each path has its answer`(path: String, status: Int) throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let answer = try get(coordinator, path)
    #expect(answer.status == status)
    if status >= 400 { #expect(answer.body.hasPrefix(#"{"error":""#)) }
    #expect(try get(coordinator, path, "HEAD").body.isEmpty)
  }

  @Test func `pipelined nonsense and an oversized head end their connection and nothing else`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let answer = try ask(coordinator, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n\u{0}\u{1}GET nonsense \r\n\r\n")
    #expect(answer.status == 200)
    #expect(answer.body.hasPrefix("{\"status\":\"ok\"}\nHTTP/1.1 400 "))
    let socket = try BlockingSocket(to: coordinator.address)
    try socket.send("GET /healthz HTTP/1.1\r\nX: \(String(repeating: "a", count: 16 << 10))")
    #expect(String(decoding: try socket.receiveToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 431 "))
    #expect(try get(coordinator, "/healthz").status == 200)
  }

  @Test func `the metrics have the numbers of what was done, and no label names a task or a worker`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let thread = try workers(coordinator, 2)
    let names = (1...5).map { "exposed-task-\($0)" }
    let submissions = try names.map {
      TaskSubmission(
        id: try TaskID($0), TaskSpecification(name: $0, work: .custom(kind: "instant", input: [:]), priority: .high))
    }
    // Nobody can execute this one.
    let stuck = TaskSubmission(
      id: try TaskID("stuck"), TaskSpecification(name: "stuck", work: .custom(kind: "unknown", input: [:])))
    #expect(coordinator.ask(.submit(submissions + [stuck])) == .submitted(submissions.compactMap(\.id) + [stuck.id!]))
    var ended: Set<String> = []
    while ended.count < names.count {
      ended.insert(
        coordinator.notice {
          if case .taskChanged(let task) = $0, task.state.status == .completed { task.id.text } else { nil }
        })
    }
    _ = try get(coordinator, "/nowhere")
    let refused = try ask(
      coordinator,
      "GET /nowhere HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    #expect(refused.status == 404)
    let read = try metrics(coordinator)
    #expect(read.value("lifeline_tasks_submitted_total") == 6)
    #expect(read.value("lifeline_tasks_ended_total", ["outcome": "completed"]) == 5)
    #expect(read.value("lifeline_tasks_ended_total", ["outcome": "failed"]) == 0)
    #expect(read.value("lifeline_attempts_total") == 5)
    #expect(read.value("lifeline_tasks", ["status": "queued"]) == 1)
    #expect(read.value("lifeline_tasks", ["status": "running"]) == 0)
    #expect(read.value("lifeline_tasks_queued", ["priority": "normal"]) == 1)
    #expect(read.value("lifeline_tasks_queued", ["priority": "high"]) == 0)
    #expect(read.value("lifeline_task_queue_wait_seconds_count") == 5)
    #expect(read.value("lifeline_task_run_seconds_count") == 5)
    #expect(read.value("lifeline_task_run_seconds_bucket", ["le": "+Inf"]) == 5)
    #expect(read.value("lifeline_connections_open", ["mode": "session"]) == 2)
    #expect(read.value("lifeline_connections_accepted_total", ["mode": "session"]) == 2)
    #expect(read.value("lifeline_connections_refused_total", ["reason": "unknown_path"]) == 1)
    #expect(read.value("lifeline_registrations_total", ["outcome": "opened"]) == 2)
    #expect(read.value("lifeline_reconnections_total") == 0)
    #expect(read.value("lifeline_workers", ["state": "connected"]) == 2)
    #expect(read.value("lifeline_worker_slots") == 8)
    #expect(read.value("lifeline_ready") == 1)
    let commits = try #require(read.value("lifeline_store_commits_total"))
    #expect(commits > 0)
    #expect(read.value("lifeline_store_commit_seconds_count") == commits)
    #expect(try #require(read.value("lifeline_messages_total", ["direction": "received"])) >= 2 + 5)
    #expect(try #require(read.value("process_resident_memory_bytes")) > 1_048_576)
    #expect(try #require(read.value("process_open_fds")) > 3)
    let age = SystemWallClock.now().milliseconds / 1_000 - Int64(try #require(read.value("process_start_time_seconds")))
    #expect((0..<86_400 * 30).contains(age))
    let known: Set = ["direction", "mode", "reason", "outcome", "status", "priority", "state", "le"]
    for sample in read.samples {
      #expect(known.isSuperset(of: sample.labels.keys), "\(sample)")
      for value in sample.labels.values {
        #expect(!value.contains("exposed-task") && !value.contains("w1") && !value.contains("stuck"), "\(sample)")
      }
    }
    thread.stop()
    thread.join()
  }

  @Test func `a worker that comes back is counted as reconnected, in its session`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let made = Exchange<LoopBound<WorkerRuntime>>()
    let url = coordinator.url
    let thread = try EventLoopThread(name: "worker") { loop in
      do {
        let runtime = try WorkerRuntime.start(.short("w1", url), executors: [InstantExecutor()], on: loop)
        made.put(LoopBound(runtime, to: loop))
      } catch { Issue.record("\(error)") }
    }
    let worker = made.take()
    _ = coordinator.registered("w1")
    // It must have heard of its session before it can come back to it.
    try eventually("registration") {
      let state = Exchange<WorkerConnectionState>()
      thread.mailbox.post { state.put(worker.value.state) }
      return state.take() == .connected ? true : nil
    }
    thread.mailbox.post { worker.value.reconnect() }
    #expect(coordinator.registered("w1").resumed)
    let read = try metrics(coordinator)
    #expect(read.value("lifeline_reconnections_total") == 1)
    #expect(read.value("lifeline_registrations_total", ["outcome": "resumed"]) == 1)
    thread.stop()
    thread.join()
  }

  @Test func `while the store cannot commit the coordinator lives and is not ready`() throws {
    let store = FailingStore()
    let coordinator = try TestCoordinator { settings in settings.store = .other { store } }
    defer { coordinator.stop() }
    #expect(try get(coordinator, "/readyz").status == 200)
    store.fails = true
    let id = try TaskID("waits")
    let submitted = Exchange<CoordinatorAnswer>()
    let _: Bool = coordinator.onLoop { runtime, done in
      let specification = TaskSpecification(name: "waits", work: .custom(kind: "instant", input: [:]))
      runtime.request(.submit([TaskSubmission(id: id, specification)])) { submitted.put($0) }
      done.put(true)
    }
    let refused = try eventually("refusal") { () -> Answer? in
      let answer = try get(coordinator, "/readyz")
      return answer.status == 503 ? answer : nil
    }
    #expect(refused.body.contains(#""status":"not ready""#))
    #expect(refused.body.contains("no space left"))
    #expect(try get(coordinator, "/healthz").status == 200)
    #expect(try #require(try metrics(coordinator).value("lifeline_store_commit_errors_total")) >= 1)
    store.fails = false
    #expect(submitted.take() == .submitted([id]))
    #expect(try get(coordinator, "/readyz").status == 200)
  }

  @Test func `a coordinator that drains lives and is not ready`() throws {
    let coordinator = try TestCoordinator()
    let thread = try workers(coordinator, 3)
    let drained = Exchange<Bool>()
    let _: Bool = coordinator.onLoop { runtime, done in
      runtime.drain(within: .seconds(30), atLeast: 1) { drained.put(true) }
      done.put(true)
    }
    let answer = try get(coordinator, "/readyz")
    #expect(answer.status == 503)
    #expect(answer.body.contains("shutting down"))
    #expect(try get(coordinator, "/healthz").status == 200)
    thread.stop()
    thread.join()
    coordinator.stop()
  }

  @Test func `where there are keys, the metrics need one that may read, and health needs none`() throws {
    let (admin, worker) = (APIKey.generate(name: "admin"), APIKey.generate(name: "worker"))
    let coordinator = try TestCoordinator {
      $0.security.keys = KeyRing([KeyRecord(admin, roles: [.readOnly]), KeyRecord(worker, roles: [.worker])])
    }
    defer { coordinator.stop() }
    func metrics(_ key: String) throws -> Int {
      try ask(
        coordinator, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer \(key)\r\n\r\n"
      ).status
    }
    let refused = try get(coordinator, "/metrics")
    #expect(refused.status == 401)
    #expect(refused.head.contains("WWW-Authenticate: Bearer"))
    #expect(try metrics(admin.text) == 200)
    #expect(try metrics(worker.text) == 403)
    #expect(try metrics("wrong-key-altogether") == 401)
    #expect(try get(coordinator, "/healthz").status == 200)
    #expect(try get(coordinator, "/readyz").status == 200)
  }
}

/// A memory store whose commits fail as on a full disk while it is told so.
private final class FailingStore: TaskStore, @unchecked Sendable {
  private let store = MemoryStore()
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var isFailing = false

  init() {
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  var fails: Bool {
    get {
      pthread_mutex_lock(mutex)
      defer { pthread_mutex_unlock(mutex) }
      return isFailing
    }
    set {
      pthread_mutex_lock(mutex)
      isFailing = newValue
      pthread_mutex_unlock(mutex)
    }
  }

  var refusedWrites: Int { store.refusedWrites }

  func commit(_ writes: [StoreWrite], _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
    if fails { return completion(.failure(.diskFull(path: "nowhere"))) }
    store.commit(writes, completion)
  }

  func unfinishedTasks(_ completion: @escaping @Sendable (Result<[UnfinishedTask], StoreError>) -> Void) {
    store.unfinishedTasks(completion)
  }

  func tasks(
    matching filter: TaskFilter, _ completion: @escaping @Sendable (Result<[TaskRecord], StoreError>) -> Void
  ) { store.tasks(matching: filter, completion) }

  func task(_ id: TaskID, _ completion: @escaping @Sendable (Result<TaskDetail?, StoreError>) -> Void) {
    store.task(id, completion)
  }

  func counts(run: String?, _ completion: @escaping @Sendable (Result<[TaskStatus: Int], StoreError>) -> Void) {
    store.counts(run: run, completion)
  }

  func tests(
    matching filter: TestFilter, _ completion: @escaping @Sendable (Result<[TestRecord], StoreError>) -> Void
  ) { store.tests(matching: filter, completion) }

  func runPart(
    _ run: String, _ number: Int, _ completion: @escaping @Sendable (Result<RunPart?, StoreError>) -> Void
  ) { store.runPart(run, number, completion) }

  func close(_ completion: @escaping @Sendable () -> Void) { store.close(completion) }
}
