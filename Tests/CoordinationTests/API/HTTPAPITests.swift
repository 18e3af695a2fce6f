import Coordination
import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// The API over real sockets, with a worker whose attempts do what the test says.
@Suite(.timeLimit(.minutes(5))) struct HTTPAPITests {
  private static let check = SchemaCheck(document: OpenAPIDocumentTests.document)

  private func expect(
    _ answer: HTTPPeer.Answer, _ status: Int, _ schema: String, _ place: SourceLocation = #_sourceLocation
  )
    throws -> JSONObject
  {
    #expect(answer.status == status, "\(answer.text)", sourceLocation: place)
    let object = try answer.json
    #expect(Self.check.faults(.object(object), schema) == [], sourceLocation: place)
    let isProblem = schema == "Problem"
    #expect(
      answer.fields["content-type"] == (isProblem ? "application/problem+json" : "application/json"),
      sourceLocation: place)
    #expect(answer.fields["cache-control"] == "no-store", sourceLocation: place)
    #expect(!answer.fields.keys.contains { $0.hasPrefix("access-control-") }, sourceLocation: place)
    if isProblem { #expect(object["status"]?.integer == Int64(status), sourceLocation: place) }
    return object
  }

  private func scripted(_ id: String, run: String? = nil) -> JSONObject {
    var object: JSONObject = ["task_id": .string(id), "kind": "scripted", "input": ["n": 1]]
    if let run { object["run"] = .string(run) }
    return object
  }

  private func started(_ worker: ScriptedWorker) throws -> AttemptKey {
    guard case .start(let key, _) = worker.orders.take() else { throw TimedOut("no start") }
    return key
  }

  // MARK: Tasks

  @Test func `a task's whole life is told by answers that conform to the document`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    let created = try peer.post("/api/v1/tasks", scripted("t", run: "r"))
    #expect(created.fields["location"] == "/api/v1/tasks/t")
    #expect(try expect(created, 201, "TaskReference")["task_id"] == "t")
    #expect(try expect(try peer.get("/api/v1/tasks/t"), 200, "TaskDetail")["status"] == "queued")
    #expect(
      try expect(try peer.get("/api/v1/tasks/t/result"), 409, "Problem")["detail"]?.string?.contains("queued") == true)
    let obstacle = "no worker is connected"
    #expect(try expect(try peer.get("/api/v1/tasks/t"), 200, "TaskDetail")["waiting_for"]?.string == obstacle)
    let listed = try expect(try peer.get("/api/v1/tasks"), 200, "TaskPage")["tasks"]?.array?.first?.object
    #expect(listed?["waiting_for"]?.string == obstacle)
    let queue = try expect(try peer.get("/api/v1/queue"), 200, "Queue")
    #expect(queue["tasks"]?.object?["NORMAL"]?.object?["waiting"] == 1)

    let worker = try ScriptedWorker(.short("w1", coordinator.url))
    defer { worker.stop() }
    let key = try started(worker)
    worker.checkpoint(key, ["done": 41])
    let _: Bool = coordinator.notice { if case .checkpointStored = $0 { true } else { nil } }
    let running = try expect(try peer.get("/api/v1/tasks/t"), 200, "TaskDetail")
    #expect(running["attempts"]?.array?.count == 1)
    #expect(running["checkpoints"]?.array?.first?.object?["id"] == "1.1")
    let list = try expect(try peer.get("/api/v1/tasks/t/checkpoints"), 200, "CheckpointList")
    #expect(list["checkpoints"]?.array?.first?.object?["bytes"] == 11)
    for name in ["1", "1.1"] {
      let download = try peer.get("/api/v1/tasks/t/checkpoints/\(name)")
      #expect(download.status == 200 && download.text == "{\"done\":41}\n")
      #expect(download.fields["content-disposition"] == #"attachment; filename="t-1.1.json""#)
    }
    _ = try expect(try peer.get("/api/v1/tasks/t/checkpoints/2"), 404, "Problem")

    worker.end(key, AttemptEnding(.completed, exitCode: 0, result: ["ok": true]))
    _ = try coordinator.ended(TaskID("t"))
    let result = try expect(try peer.get("/api/v1/tasks/t/result"), 200, "TaskResult")
    #expect(result["result"] == ["ok": true])
    #expect(try expect(try peer.get("/api/v1/tasks/t"), 200, "TaskDetail")["status"] == "completed")
    let page = try expect(try peer.get("/api/v1/tasks?run=r&status=completed&worker=w1"), 200, "TaskPage")
    #expect(page["tasks"]?.array?.count == 1 && page["next_cursor"] == .null)
    let overview = try expect(try peer.get("/api/v1/overview"), 200, "Overview")
    #expect(overview["tasks"]?.object?["completed"] == 1)
    #expect(overview["totals"]?.object?["submitted"] == 1)
    #expect(overview["workers"] == ["connected": 1, "known": 1])
    #expect(try peer.get("/api/v1/openapi.json").body == PackageResources.openapi_json)
  }

  @Test func `a HEAD request is answered as a GET without its body`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    for path in ["/api/v1/overview", "/api/v1/events", "/api/v1/workers"] {
      #expect(try peer.ask("HEAD", path).status == 200)
    }
    #expect(try peer.ask("HEAD", "/api/v1/tasks/none").status == 404)
    #expect(try peer.get("/api/v1/overview").status == 200)
  }

  @Test func `many tasks are accepted together, and listed a page at a time`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    let tasks = (0..<SubmissionBody.maxTasks).map { _ in JSONValue.object(["command": ["true"], "run": "many"]) }
    let created = try expect(try peer.post("/api/v1/tasks", ["tasks": .array(tasks)]), 201, "TaskReferences")
    let ids = (created["task_ids"]?.array ?? []).compactMap(\.string)
    #expect(Set(ids).count == SubmissionBody.maxTasks)
    var listed: [String] = []
    var cursor = ""
    while true {
      let page = try expect(try peer.get("/api/v1/tasks?run=many&limit=1000\(cursor)"), 200, "TaskPage")
      listed += (page["tasks"]?.array ?? []).compactMap { $0.object?["task_id"]?.string }
      guard let next = page["next_cursor"]?.string else { break }
      cursor = "&cursor=\(next)"
    }
    #expect(listed == ids)
  }

  @Test func `one task that cannot be accepted keeps out those beside it`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    let body: JSONObject = ["tasks": [["command": ["true"]], ["command": ["true"], "colour": "red"]]]
    #expect(try expect(try peer.post("/api/v1/tasks", body), 422, "Problem")["field"] == "tasks[1].colour")
    #expect(try expect(try peer.get("/api/v1/tasks"), 200, "TaskPage")["tasks"]?.array?.isEmpty == true)
  }

  @Test func `a request with an idempotency key is done once, even across a restart`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("tasks.db")
    let key = [("Idempotency-Key", "order 7")]
    let body: JSONObject = ["tasks": [["command": ["true"]], ["command": ["false"]]]]
    func coordinator() throws -> TestCoordinator { try TestCoordinator { $0.store = .sqlite(path: path) } }
    let first = try coordinator()
    var peer = try HTTPPeer(first.address)
    let ids = try expect(try peer.post("/api/v1/tasks", body, key), 201, "TaskReferences")
    #expect(try expect(try peer.post("/api/v1/tasks", body, key), 201, "TaskReferences") == ids)
    first.stop()
    let second = try coordinator()
    defer { second.stop() }
    peer = try HTTPPeer(second.address)
    // Those that have ended meanwhile are no different.
    #expect(second.ask(.cancel(try TaskID(ids["task_ids"]?.array?.first?.string ?? ""))) == .done)
    #expect(try expect(try peer.post("/api/v1/tasks", body, key), 201, "TaskReferences") == ids)
    for other: JSONObject in [
      ["tasks": [["command": ["true"]]]], ["tasks": [["command": ["true"]], ["command": ["true"]]]],
      ["tasks": [["command": ["true"]], ["command": ["false"]], ["command": ["true"]]]],
    ] {
      let problem = try expect(try peer.post("/api/v1/tasks", other, key), 422, "Problem")
      #expect(problem["type"] == "urn:lifeline:problem:idempotency-key-reused" && problem["field"] == "Idempotency-Key")
    }
    #expect(try expect(try peer.get("/api/v1/tasks"), 200, "TaskPage")["tasks"]?.array?.count == 2)
    #expect(try expect(try peer.get("/api/v1/overview"), 200, "Overview")["tasks"]?.object?["cancelled"] == 1)
  }

  @Test func `orders reach the task's worker, and one for a task that has ended is a conflict`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    _ = try peer.post("/api/v1/tasks", scripted("t"))
    _ = try expect(try peer.post("/api/v1/tasks/t/checkpoint"), 409, "Problem")
    let worker = try ScriptedWorker(.short("w1", coordinator.url))
    defer { worker.stop() }
    let key = try started(worker)
    for (order, expected) in [
      ("pause", .pause(key)), ("resume", .resume(key)), ("checkpoint", .checkpoint(key)),
      ("cancel", .stop(key, .cancelled)),
    ] as [(String, ScriptedExecutor.Order)] {
      #expect(try expect(try peer.post("/api/v1/tasks/t/\(order)"), 202, "TaskReference")["task_id"] == "t")
      #expect(worker.orders.take() == expected)
    }
    _ = try coordinator.ended(TaskID("t"))
    for order in ["pause", "resume", "checkpoint", "cancel"] {
      let problem = try expect(try peer.post("/api/v1/tasks/t/\(order)"), 409, "Problem")
      #expect(problem["detail"]?.string?.contains("it is cancelled") == true)
      _ = try expect(try peer.post("/api/v1/tasks/none/\(order)"), 404, "Problem")
    }
    for path in ["", "/result", "/logs", "/logs?follow=true", "/checkpoints", "/checkpoints/1"] {
      _ = try expect(try peer.get("/api/v1/tasks/none\(path)"), 404, "Problem")
    }
  }

  @Test func `a retry is a new task, one at a time`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    func retry(_ id: String) throws -> String {
      let answer = try peer.post("/api/v1/tasks/\(id)/retry")
      return try expect(answer, 201, "TaskReference")["task_id"]?.string ?? ""
    }
    func cancel(_ id: String) throws { #expect(try peer.post("/api/v1/tasks/\(id)/cancel").status == 202) }
    _ = try peer.post("/api/v1/tasks", scripted("t", run: "r"))
    _ = try expect(try peer.post("/api/v1/tasks/t/retry"), 409, "Problem")
    _ = try expect(try peer.post("/api/v1/tasks/none/retry"), 404, "Problem")
    try cancel("t")
    #expect(try retry("t") == "t.2")
    #expect(try retry("t") == "t.2")
    let new = try expect(try peer.get("/api/v1/tasks/t.2"), 200, "TaskDetail")
    #expect(new["run"] == "r" && new["input"] == ["n": 1] && new["status"] == "queued")
    try cancel("t.2")
    // A retry's retry is the task's.
    #expect(try retry("t.2") == "t.3")
    // A name of this form that is no retry's.
    _ = try peer.post("/api/v1/tasks", scripted("v1.2"))
    try cancel("v1.2")
    #expect(try retry("v1.2") == "v1.2.2")
  }

  // MARK: Logs

  @Test func `logs are what was written, of one stream or both`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    _ = try peer.post("/api/v1/tasks", scripted("t"))
    let worker = try ScriptedWorker(.short("w1", coordinator.url))
    defer { worker.stop() }
    let key = try started(worker)
    let output = AttemptOutput(stdout: [0xFF, 10], stderr: Array("oops\n".utf8))
    worker.end(key, AttemptEnding(.failed, exitCode: 1, output: output))
    _ = try coordinator.ended(TaskID("t"))
    let logs = try peer.get("/api/v1/tasks/t/logs?stream=stdout")
    #expect(logs.status == 200 && logs.body == [0xFF, 10])
    #expect(logs.fields["content-type"] == "text/plain; charset=utf-8")
    #expect(try peer.get("/api/v1/tasks/t/logs?stream=stderr").text == "oops\n")
    #expect(try peer.get("/api/v1/tasks/t/logs").body == [0xFF, 10] + Array("oops\n".utf8))
    // One that has ended has nothing to wait for.
    #expect(try peer.get("/api/v1/tasks/t/logs?stream=stderr&follow=true").text == "oops\n")
  }

  @Test func `logs that are followed come as they are written, through attempts, and end with the task`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    var task = scripted("t")
    task["retries"] = 1
    _ = try peer.post("/api/v1/tasks", task)
    let worker = try ScriptedWorker(.short("w1", coordinator.url))
    defer { worker.stop() }
    let first = try started(worker)
    worker.write(first, offset: 0, Array("one\n".utf8))
    let _: Bool = coordinator.notice { if case .outputAppended = $0 { true } else { nil } }
    try peer.send("GET", "/api/v1/tasks/t/logs?follow=true")
    #expect(try peer.head().status == 200)
    #expect(try peer.chunks(until: "one\n") == "one\n")
    worker.write(first, offset: 4, Array("two\n".utf8))
    #expect(try peer.chunks(until: "two\n") == "two\n")
    // What was lost on the way comes with the attempt's end.
    worker.end(
      first, AttemptEnding(.failed, exitCode: 1, output: AttemptOutput(stdout: Array("one\ntwo\nlast words\n".utf8))))
    let second = try started(worker)
    worker.write(second, offset: 0, Array("again\n".utf8))
    #expect(try peer.chunks(until: "again\n") == "last words\nagain\n")
    worker.write(second, offset: 900, Array("behind a gap".utf8))
    worker.end(
      second, AttemptEnding(.completed, exitCode: 0, output: AttemptOutput(stdout: Array("again\nwhole\n".utf8))))
    var rest: [UInt8] = []
    while let piece = try peer.chunk() { rest += piece }
    #expect(String(decoding: rest, as: UTF8.self) == "whole\n")
    // The connection goes on.
    #expect(try peer.get("/api/v1/overview").status == 200)
    #expect(coordinator.onLoop { runtime, answer in answer.put(runtime.api?.followerCount ?? -1) } == 0)
  }

  // MARK: Workers

  @Test func `workers are shown with what they last said of themselves`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    #expect(try expect(try peer.get("/api/v1/workers"), 200, "WorkerList")["workers"]?.array?.isEmpty == true)
    let worker = try ScriptedWorker(.short("w1", coordinator.url, slots: 3))
    defer { worker.stop() }
    _ = coordinator.registered("w1")
    let list = try expect(try peer.get("/api/v1/workers"), 200, "WorkerList")
    #expect(list["workers"]?.array?.first?.object?["slots"] == 3)
    #expect(try expect(try peer.get("/api/v1/workers/w1"), 200, "WorkerDetail")["state"] == "connected")
    // Whoever asks makes the worker say it, for whoever asks next.
    let said = try eventually("telemetry") { () -> JSONObject? in
      let metrics = try expect(try peer.get("/api/v1/workers/w1/metrics"), 200, "WorkerMetrics")
      return metrics["telemetry"] == .null ? nil : metrics
    }
    #expect(said["telemetry"]?.object?["metrics"] != nil && said["telemetry_at"]?.string != nil)
    for path in ["/api/v1/workers/none", "/api/v1/workers/none/metrics", "/api/v1/workers/a%2Fb"] {
      _ = try expect(try peer.get(path), 404, "Problem")
    }
  }

  @Test func `a worker that is drained ends what it runs, is given nothing more, and leaves`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let peer = try HTTPPeer(coordinator.address)
    _ = try peer.post("/api/v1/tasks", scripted("before"))
    let worker = try ScriptedWorker(.short("w1", coordinator.url, slots: 2))
    defer { worker.vanish() }
    let key = try started(worker)
    let drained = try expect(try peer.post("/api/v1/workers/w1/drain"), 202, "Worker")
    #expect(drained["state"] == "draining")
    _ = try peer.post("/api/v1/tasks", scripted("after"))
    worker.end(key, AttemptEnding(.completed))
    let _: Bool = coordinator.notice { if case .workerDisconnected = $0 { true } else { nil } }
    #expect(try expect(try peer.get("/api/v1/tasks/before"), 200, "TaskDetail")["status"] == "completed")
    let after = try expect(try peer.get("/api/v1/tasks/after"), 200, "TaskDetail")
    #expect(after["status"] == "queued" && after["attempt"] == 0)
    _ = try expect(try peer.post("/api/v1/workers/none/drain"), 404, "Problem")
  }
}
