import Coordination
import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// `/api/v1/events`, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct EventFeedTests {
  private struct Event: Equatable {
    var name: String
    var data: JSONObject
  }

  /// One listener's stream of events.
  private final class Listener {
    let peer: HTTPPeer
    private var text = ""
    private(set) var ids: [Int] = []

    init(_ coordinator: TestCoordinator, _ query: String = "") throws {
      peer = try HTTPPeer(coordinator.address)
      try peer.send("GET", "/api/v1/events\(query)")
      let head = try peer.head()
      #expect(head.status == 200 && head.fields["content-type"] == "text/event-stream; charset=utf-8")
    }

    /// The next event that `matches`; those before it are passed over.
    func next(_ matches: (Event) -> Bool) throws -> Event {
      while true {
        while let end = text.firstRange(of: "\n\n") {
          let block = text[..<end.lowerBound]
          text = String(text[end.upperBound...])
          var event = Event(name: "", data: [:])
          for line in block.split(separator: "\n") {
            if line.hasPrefix("event: ") { event.name = String(line.dropFirst(7)) }
            if line.hasPrefix("id: ") { ids.append(Int(line.dropFirst(4)) ?? -1) }
            if line.hasPrefix("data: ") { event.data = try JSONParser.parse(String(line.dropFirst(6))).object ?? [:] }
          }
          if !event.name.isEmpty, matches(event) { return event }
        }
        guard let piece = try peer.chunk() else { throw HTTPPeer.Malformed(description: "the stream ended") }
        text += String(decoding: piece, as: UTF8.self)
      }
    }

    func task(_ id: String, _ status: String) throws -> JSONObject {
      try next { $0.name == "task_changed" && $0.data["task_id"]?.string == id && $0.data["status"]?.string == status }
        .data
    }
  }

  private let check = SchemaCheck(document: OpenAPIDocumentTests.document)

  private func submit(_ coordinator: TestCoordinator, _ id: String, run: String? = nil) throws {
    let task = TaskSpecification(name: id, work: .custom(kind: "scripted", input: [:]), run: run)
    #expect(coordinator.ask(.submit([TaskSubmission(id: try TaskID(id), task)])) == .submitted([try TaskID(id)]))
  }

  @Test func `a listener hears of tasks, of workers, and each second of everything`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let listener = try Listener(coordinator)
    let first = try listener.next { $0.name == "overview" }
    #expect(check.faults(.object(first.data), "Overview") == [])
    try submit(coordinator, "t")
    #expect(check.faults(.object(try listener.task("t", "queued")), "Task") == [])
    let worker = try ScriptedWorker(.short("w1", coordinator.url))
    let connected = try listener.next { $0.name == "worker_connected" }
    #expect(connected.data["worker_id"] == "w1" && check.faults(.object(connected.data), "Worker") == [])
    guard case .start(let key, _) = worker.orders.take() else { throw TimedOut("no start") }
    worker.end(key, AttemptEnding(.completed))
    #expect(try listener.task("t", "completed")["attempt"] == 1)
    let overview = try listener.next { $0.name == "overview" }
    #expect(overview.data["tasks"]?.object?["completed"] == 1)
    worker.stop()
    #expect(try listener.next { $0.name == "worker_disconnected" }.data["worker_id"] == "w1")
    #expect(listener.ids == listener.ids.sorted() && Set(listener.ids).count == listener.ids.count)
  }

  @Test func `a listener to one run hears of no other run's tasks`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let listener = try Listener(coordinator, "?run=mine")
    _ = try listener.next { $0.name == "overview" }
    try submit(coordinator, "other", run: "other")
    try submit(coordinator, "none")
    try submit(coordinator, "mine", run: "mine")
    #expect(try listener.next { $0.name == "task_changed" }.data["task_id"] == "mine")
  }

  @Test func `a task that changes often is told as it is, and the last change is always told`() throws {
    let coordinator = try TestCoordinator()
    defer { coordinator.stop() }
    let listener = try Listener(coordinator)
    _ = try listener.next { $0.name == "overview" }
    try submit(coordinator, "t")
    let id = try TaskID("t")
    for _ in 0..<200 {
      _ = coordinator.ask(.pause(id))
      _ = coordinator.ask(.resume(id))
    }
    #expect(coordinator.ask(.cancel(id)) == .done)
    #expect(try listener.task("t", "cancelled")["reason"] == "cancelled before it was started")
    #expect(listener.ids.count < 400)
  }

  @Test func `a listener that does not read is ended, and nobody waits for it`() throws {
    let coordinator = try TestCoordinator { $0.admission.slowReaders.timeout = .milliseconds(200) }
    defer { coordinator.stop() }
    let socket = try BlockingSocket(to: coordinator.address, receiveBufferBytes: 4_096)
    try socket.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    func listeners() -> Int {
      coordinator.onLoop { runtime, answer in answer.put(runtime.api?.feed.listenerCount ?? -1) }
    }
    try eventually("the listener") { listeners() == 1 ? true : nil }
    // More than a listener may leave unread and what the kernel takes for it.
    let name = String(repeating: "n", count: 500)
    for batch in 0..<20 {
      let tasks = try (0..<1_000).map { number in
        TaskSubmission(
          id: try TaskID("t-\(batch)-\(number)"), TaskSpecification(name: name, work: .custom(kind: "none", input: [:]))
        )
      }
      _ = coordinator.ask(.submit(tasks))
    }
    try eventually("the end of the slow one") {
      listeners() == 0 ? true : nil
    }
    let next = try Listener(coordinator)
    #expect(try next.next { $0.name == "overview" }.data["tasks"]?.object?["queued"] == 20_000)
    socket.close()
  }

  @Test func `listeners are told of the end when the coordinator stops`() throws {
    let coordinator = try TestCoordinator()
    let listener = try Listener(coordinator)
    _ = try listener.next { $0.name == "overview" }
    coordinator.stop()
    #expect(throws: HTTPPeer.Malformed.self) { try listener.next { _ in false } }
  }
}
