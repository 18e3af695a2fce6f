import Primitives
import Reactor
import TrialReport

/// Connections that never finish what they ask for.
final class Slowloris: Scenario {
  static let about = ScenarioAbout(
    name: "slowloris", summary: "200 connections send their upgrade request one byte a second.",
    passes: "the coordinator ends each of them, and no worker notices", workers: 4, duration: .seconds(30),
    quickWorkers: 3, quickDuration: .seconds(14))

  private static let count = 200
  private var crowd: [Drip] = []

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    run.keepBusy()
    run.at(.seconds(1)) { [self] run in
      guard let address = run.fleet.address else { return }
      run.mark("\(Self.count) connections send a byte a second")
      for _ in 0..<Self.count { crowd.append(Drip(to: address, on: run.loop)) }
      run.every(.seconds(1)) { [self] _ in for drip in crowd { drip.drop() } }
    }
  }

  func end(_ run: TrialRun) { for drip in crowd where drip.state == .open { drip.leave() } }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let ended = crowd.count { $0.state == .endedByPeer }
    let reconnections = run.sampler?.reconnections ?? 0
    return [
      TrialReport.Criterion(
        "connections without a request are ended", expected: "\(Self.count) by the coordinator",
        measured: "\(ended)", isMet: ended == Self.count),
      TrialReport.Criterion(
        "no worker notices", expected: "no worker reconnects", measured: "\(reconnections)",
        isMet: reconnections == 0),
    ]
  }
}

/// One connection that takes its time.
private final class Drip: ConnectionDelegate {
  enum State { case connecting, open, endedByPeer, left }

  private(set) var state = State.connecting
  private var connection: Connection?
  private var rest = Array("GET /ws/client HTTP/1.1\r\nX-Slow: ".utf8)[...]

  init(to address: SocketAddress, on loop: EventLoop) {
    _ = Connection.connect(to: address, on: loop, timeout: .seconds(5)) { [self] result in
      guard case .success(let connection) = result else { return }
      connection.delegate = self
      self.connection = connection
      state = .open
    }
  }

  func drop() {
    guard state == .open else { return }
    connection?.send([rest.popFirst() ?? UInt8(ascii: "x")])
  }

  func leave() {
    state = .left
    connection?.abort()
  }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {}

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    if state == .open { state = .endedByPeer }
  }
}
