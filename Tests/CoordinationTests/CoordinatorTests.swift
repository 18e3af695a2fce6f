import Coordination
import CoordinationCore
import Primitives
import Reactor
import Storage
import Testing

@Suite struct CoordinatorTests {
  @Test(.timeLimit(.minutes(5)))
  func `a thousand tasks over loopback sockets each end once`() async throws {
    var settings = CoordinatorSettings()
    settings.port = 0
    let coordinator = try await Coordinator.start(settings)
    let url = coordinator.url
    let thread = try EventLoopThread(name: "workers") { loop in
      do {
        for number in 1...3 {
          var settings = WorkerSettings()
          settings.workerID = "w\(number)"
          settings.coordinator = url
          settings.slots = 16
          _ = try WorkerRuntime.start(settings, executors: [InstantExecutor()], on: loop)
        }
      } catch { Issue.record("\(error)") }
    }
    let submissions = (1...1_000).map { number in
      TaskSubmission(TaskSpecification(name: "t\(number)", work: .custom(kind: "instant", input: [:])))
    }
    let ids = try await coordinator.submit(submissions)
    #expect(ids.count == 1_000)
    for id in ids {
      let detail = try await coordinator.result(of: id)
      #expect(detail.task.state.status == .completed)
      #expect(detail.task.state.attempt == 1)
      #expect(detail.attempts.map(\.outcome) == [.completed])
    }
    thread.stop()
    thread.join()
    await coordinator.stop()
  }
}
