import Coordination
import CoordinationCore
import Primitives
import Reactor
import TrialReport

/// Connections that never finish what they ask for, and one honest client after another beside them.
final class Slowloris: Scenario {
  static let about = ScenarioAbout(
    name: "slowloris", summary: "10,000 connections send their upgrade request one byte a second.",
    passes:
      "each is gone at its 10 s deadline and took at most 16 KiB; a client is served within 1 s; no worker notices",
    workers: 4, duration: .seconds(30), quickWorkers: 3, quickDuration: .seconds(20))

  private static let most = 10_000
  private static let handshakeTimeout: Duration = .seconds(10)
  /// What a busy machine may be late.
  private static let slack: Duration = .seconds(1)
  /// One that goes on sending is cut off half a second after it was told, and sees it by the second byte after that.
  private static let seenWithin: Duration = .milliseconds(2_500)
  private static let maxKibibytesEach = 16
  private static let openedAtOnce = 500
  private static let slices = 10
  private static let step: Duration = .milliseconds(100)

  private var crowd: [Drip] = []
  private var wanted = 0
  private var slice = 0
  private var memoryBefore = 0
  private var memoryPeak = 0
  private var clients: [CoordinatorClient] = []
  private var latencies = LatencyHistogram()
  private var isCrowded = false

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    run.keepBusy()
    // Half of what this process may open: the coordinator has as many, and both need some for other things.
    wanted = min(Self.most, (TextFile.descriptorLimit ?? 1_024) / 2)
    run.at(.seconds(1)) { [self] run in
      memoryBefore = run.sampler?.peakMemory ?? 0
      run.mark("\(wanted) connections begin to send a byte a second")
      run.every(Self.step) { [self] in step($0) }
      run.every(.milliseconds(200)) { [self] in serveHonestClient($0) }
    }
  }

  private func step(_ run: TrialRun) {
    if crowd.count < wanted, let address = run.fleet.address {
      for _ in 0..<min(Self.openedAtOnce, wanted - crowd.count) {
        crowd.append(Drip(to: address, hangsUp: crowd.count.isMultiple(of: 2), on: run.loop))
      }
    }
    // Each gets its byte once a second, a slice of the crowd at a time.
    for index in stride(from: slice, to: crowd.count, by: Self.slices) { crowd[index].drop() }
    slice = (slice + 1) % Self.slices
    isCrowded = crowd.contains { $0.state == .open }
    if crowd.contains(where: { $0.state == .open }) {
      memoryPeak = max(memoryPeak, run.sampler?.memory ?? 0)
    }
  }

  /// Connects, asks, and is answered: the time from nothing to the answer.
  private func serveHonestClient(_ run: TrialRun) {
    guard isCrowded else { return }
    var settings = ClientSettings()
    settings.coordinator = run.fleet.url
    guard let client = try? CoordinatorClient(settings, on: run.loop) else { return }
    clients.append(client)
    let began = run.loop.now
    client.request("count_tasks") { [self] answer in
      if case .success = answer { latencies.record(run.loop.now - began) } else { latencies.record(.seconds(60)) }
      client.close()
      clients.removeAll { $0 === client }
    }
  }

  func end(_ run: TrialRun) {
    for drip in crowd where drip.state == .open { drip.leave() }
    for client in clients { client.close() }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let ended = crowd.filter { $0.state == .endedByPeer }
    let told = ended.compactMap(\.toldAfter).max() ?? .zero
    let gone = ended.compactMap(\.goneAfter).max() ?? .zero
    let limit = Self.handshakeTimeout + Self.slack
    let growth = max(0, memoryPeak - memoryBefore)
    let each = Double(growth) / Double(max(1, crowd.count))
    let slowest = Duration.nanoseconds(Int64(clamping: latencies.maximum))
    let reconnections = run.sampler?.reconnections ?? 0
    return [
      TrialReport.Criterion(
        "connections without a request are ended",
        expected: "\(wanted) told within \(limit.inSeconds) s, those that go on cut off",
        measured: "\(ended.count), the last told after \(Evidence.rounded(told.inSeconds)) s and gone after "
          + "\(Evidence.rounded(gone.inSeconds)) s",
        isMet: wanted > 0 && ended.count == wanted && told <= limit && gone <= limit + Self.seenWithin),
      TrialReport.Criterion(
        "they take little memory", expected: "at most \(Self.maxKibibytesEach) KiB each",
        measured: "\(Evidence.rounded(each)) KiB each, \(growth) KiB in all",
        isMet: growth > 0 && each <= Double(Self.maxKibibytesEach)),
      TrialReport.Criterion(
        "an honest client is served meanwhile",
        expected: "each of at least 20 within 1 s, from connecting to the answer",
        measured: "\(latencies.count) clients, the slowest in \(slowest.wholeMilliseconds) ms",
        isMet: latencies.count >= 20 && slowest < .seconds(1)),
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
  /// From the connection's opening to the other side's end, and to its own.
  private(set) var toldAfter: Duration?
  private(set) var goneAfter: Duration?
  private let loop: EventLoop
  /// Whether it hangs up when it is told to, or goes on sending until it is cut off.
  private let hangsUp: Bool
  private var openedAt = Instant.zero
  private var connection: Connection?
  private var rest = Array("GET /ws/client HTTP/1.1\r\nX-Slow: ".utf8)[...]

  init(to address: SocketAddress, hangsUp: Bool, on loop: EventLoop) {
    self.loop = loop
    self.hangsUp = hangsUp
    _ = Connection.connect(to: address, on: loop, timeout: .seconds(5)) { [self] result in
      guard case .success(let connection) = result else { return }
      openedAt = loop.now
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

  func connectionDidReachEndOfStream(_ connection: Connection) {
    toldAfter = loop.now - openedAt
    if hangsUp { connection.close() }
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    guard state == .open else { return }
    state = .endedByPeer
    goneAfter = loop.now - openedAt
    toldAfter = toldAfter ?? goneAfter
  }
}
