import Coordination
import Primitives
import Reactor
import WebSocket

/// Asks every coordinator that runs for `/readyz`, ten times a second, and remembers each change of the answers.
final class ReadinessWatch {
  struct Answer: Equatable {
    var coordinator: String
    var at: Instant
    var status: Int
    var reason: String
  }

  private unowned let run: TrialRun
  private var timer: Timer?
  private var probes: [String: HTTPProbe] = [:]
  /// Each answer that differs from the one before of its coordinator.
  private(set) var changes: [Answer] = []

  init(_ run: TrialRun) { self.run = run }

  func start() {
    timer = run.loop.makeTimer { [weak self] in self?.tick() }
    tick()
  }

  func stop() { timer?.cancel() }

  private func tick() {
    timer?.start(after: .milliseconds(100))
    for name in run.fleet.coordinators.keys where probes[name] == nil {
      guard let port = run.fleet.addresses[name]?.port,
        let url = try? WebSocketURL(host: "127.0.0.1", port: port, target: "/readyz")
      else { continue }
      probes[name] = HTTPProbe(url, on: run.loop, timeout: .seconds(2), tls: nil) { [weak self] answer in
        guard let self else { return }
        probes[name] = nil
        guard case .success(let answer) = answer else { return }
        heard(answer, from: name)
      }
    }
  }

  private func heard(_ answer: HTTPAnswer, from name: String) {
    let last = changes.last { $0.coordinator == name }
    guard last?.status != answer.status else { return }
    changes.append(Answer(coordinator: name, at: run.loop.now, status: answer.status, reason: answer.body))
  }

  /// The first answer with this status of a coordinator from a moment on.
  func first(_ status: Int, of coordinator: String, from time: Instant) -> Answer? {
    changes.first { $0.coordinator == coordinator && $0.status == status && $0.at >= time }
  }
}
