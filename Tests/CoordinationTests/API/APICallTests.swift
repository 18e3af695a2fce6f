import CoordinationCore
import Primitives
import Testing
import WebSocketCore

@testable import Coordination

/// What requests mean, and what is said of those that mean nothing.
@Suite struct APICallTests {
  private func call(_ request: APIRequest) throws -> APICall {
    guard case .operation(let operation, let names) = APIRoute(method: request.method, path: request.path) else {
      throw APIProblem(.notFound, "no route")
    }
    return try APICall(operation, names, of: request)
  }

  private func get(_ path: String, _ query: String? = nil) throws -> APICall {
    try call(APIRequest("GET", "/api/v1\(path)", query: query))
  }

  private func post(_ path: String, _ body: String, _ type: String? = "application/json", key: String? = nil) throws
    -> APICall
  {
    var request = APIRequest("POST", "/api/v1\(path)")
    request.body = Array(body.utf8)
    request.contentType = type
    request.idempotencyKey = key
    return try call(request)
  }

  private func problem(_ body: () throws -> APICall) -> APIProblem? {
    do {
      _ = try body()
      return nil
    } catch { return error as? APIProblem }
  }

  @Test func `a list's filters are read`() throws {
    let expected = TaskFilter(
      statuses: [.queued, .running, .paused], run: "a b", workerID: try WorkerID("w1"), after: try TaskID("t{1}"),
      limit: 7)
    let cursor = TaskListQuery.cursor(after: try TaskID("t{1}"))
    let query = "status=queued,running&status=paused&run=a+b&worker=w1&limit=7&cursor=\(cursor)"
    #expect(try get("/tasks", query) == .list(expected))
    #expect(try get("/tasks") == .list(TaskFilter(limit: 100)))
    #expect(try get("/tasks", "run=%C3%A4%2B&limit=1000") == .list(TaskFilter(run: "ä+", limit: 1_000)))
  }

  @Test(
    arguments: [
      ("/tasks", "status=done", "status"), ("/tasks", "status=queued,", "status"), ("/tasks", "status=", "status"),
      ("/tasks", "limit=0", "limit"), ("/tasks", "limit=1001", "limit"), ("/tasks", "limit=x", "limit"),
      ("/tasks", "limit=99999999999999999999", "limit"), ("/tasks", "limit=1&limit=2", "limit"),
      ("/tasks", "worker=a/b", "worker"), ("/tasks", "cursor=%21", "cursor"), ("/tasks", "cursor=", "cursor"),
      ("/tasks", "cursor=" + String(repeating: "A", count: 600), "cursor"), ("/tasks", "statuses=queued", "statuses"),
      ("/tasks/a", "x=1", "x"), ("/tasks/a/logs", "stream=both", "stream"), ("/tasks/a/logs", "follow=1", "follow"),
      ("/overview", "pretty", "pretty"), ("/tasks", "run=%zz", nil),
    ] as [(String, String, String?)])
  func `a query that means nothing is refused by the name of its parameter`(path: String, query: String, field: String?)
  {
    let found = problem { try get(path, query) }
    #expect(found?.kind == .badParameter && found?.field == field, "\(String(describing: found))")
  }

  @Test func `one specification and many are read`() throws {
    let hello = TaskSpecification(name: "h", work: .command(Command(["echo"])), priority: .high)
    let body = #"{"name": "h", "command": ["echo"], "priority": "HIGH", "task_id": "t"}"#
    let one = SubmissionBody(tasks: [TaskSubmission(id: try TaskID("t"), hello)], isList: false)
    #expect(try post("/tasks", body) == .submit(one, nil))
    #expect(try post("/tasks", body, "Application/JSON; charset=utf-8") == .submit(one, nil))
    let many = SubmissionBody(tasks: [TaskSubmission(id: try TaskID("t"), hello)], isList: true)
    #expect(try post("/tasks", #"{"tasks": [\#(body)]}"#) == .submit(many, nil))
  }

  @Test(
    arguments: [
      ("", 400, nil), ("{", 400, nil), ("[]", 400, nil), ("\u{1}", 400, nil), (#"{"tasks": 1}"#, 422, "tasks"),
      (#"{"tasks": []}"#, 422, "tasks"), (#"{"tasks": [], "run": "a"}"#, 400, "tasks"),
      (#"{"tasks": [{"command": ["a"]}, 1]}"#, 422, "tasks[1]"),
      (#"{"tasks": [{"command": ["a"]}, {"command": []}]}"#, 422, "tasks[1].command"),
      (#"{"command": ["a"], "timeout": 5}"#, 422, "timeout"), (#"{"name": "a"}"#, 422, "command"),
      (#"{"command": ["a"], "retries": -1}"#, 422, "retries"),
      (#"{"command": ["a"], "task_id": "a/b"}"#, 422, "task_id"),
    ] as [(String, Int, String?)])
  func `a body that is no submission is refused by the place of the fault`(body: String, status: Int, field: String?) {
    let found = problem { try post("/tasks", body) }
    #expect(found?.kind.status == status && found?.field == field, "\(String(describing: found))")
  }

  @Test func `more tasks than are taken at once are refused as too many`() {
    let tasks = Array(repeating: #"{"command":["a"]}"#, count: SubmissionBody.maxTasks + 1).joined(separator: ",")
    #expect(problem { try post("/tasks", #"{"tasks":[\#(tasks)]}"#) }?.kind == .tooLarge)
  }

  @Test(arguments: [
    nil, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx",
  ])
  func `a body that is not said to be JSON is not read`(type: String?) {
    #expect(problem { try post("/tasks", #"{"command":["a"]}"#, type) }?.kind == .mediaType)
    #expect(problem { try post("/tasks/a/cancel", "{}", type) }?.kind == .mediaType)
  }

  @Test func `an order has nothing in its body`() throws {
    let a = try TaskID("a")
    #expect(try post("/tasks/a/cancel", "", nil) == .cancel(a))
    #expect(try post("/tasks/a/pause", "{}") == .pause(a))
    #expect(problem { try post("/tasks/a/resume", #"{"now": true}"#) }?.kind == .badRequest)
  }

  @Test func `an idempotency key is short, and tasks with one have no names of their own`() throws {
    let body = #"{"command": ["a"]}"#
    guard case .submit(_, let key) = try post("/tasks", body, key: "k") else { throw APIProblem(.badRequest, "") }
    #expect(key?.text == "k")
    #expect(problem { try post("/tasks", body, key: "") }?.field == "Idempotency-Key")
    #expect(problem { try post("/tasks", body, key: String(repeating: "k", count: 256)) }?.field == "Idempotency-Key")
    let named = #"{"command": ["a"], "task_id": "t"}"#
    #expect(problem { try post("/tasks", named, key: "k") }?.field == "task_id")
  }

  @Test func `a checkpoint is named by its number, or exactly`() throws {
    let records = [(1, 1), (1, 2), (2, 1)].map { attempt, number in
      CheckpointRecord(
        taskID: TaskID(known: "t"), key: CheckpointKey(attempt: attempt, number: number),
        createdAt: .init(milliseconds: 0), data: .null)
    }
    func found(_ text: String) -> String? { CheckpointReference(text)?.find(in: records)?.key.description }
    #expect(found("1") == "2.1")
    #expect(found("2") == "1.2")
    #expect(found("1.1") == "1.1")
    #expect(found("2.2") == nil)
    for text in ["", "0", "-1", "a", "1.", ".1", "1.2.3", "1.0", "99999999999999999999"] {
      #expect(CheckpointReference(text) == nil, "\(text)")
    }
  }

  @Test func `a problem is written as RFC 9457 has it`() throws {
    let response = APIProblem(.invalidTask, "why", field: "command").response(instance: "/api/v1/tasks")
    #expect(response.status == 422 && response.contentType == "application/problem+json")
    let object = try #require(try JSONParser.parse(response.body).object)
    #expect(SchemaCheck(document: OpenAPIDocumentTests.document).faults(.object(object), "Problem").isEmpty)
    #expect(object["status"] == 422 && object["field"] == "command" && object["instance"] == "/api/v1/tasks")
    #expect(response.headers["X-Content-Type-Options"] == "nosniff")
  }
}
