import PostgreSQL
import Primitives
import Reactor

/// A connection that is made again, for ever, whenever it is lost.
final class PostgresLane {
  typealias Answer = PostgresConnection.Answer

  private let address: PostgresAddress
  private let loop: EventLoop
  /// Makes a fresh connection ready for use; says why it cannot.
  private let prepare: (PostgresConnection, @escaping (PostgresError?) -> Void) -> Void
  private var connection: PostgresConnection?
  private var backoff = Backoff(Backoff.Configuration(base: .milliseconds(100), cap: maxPause))
  private var random = SystemRandomNumberGenerator()
  private var retry: Timer?
  private var watchdog: Timer?
  /// How long an answer may take before the connection counts as broken.
  var maxSilence = Duration.seconds(15)
  private(set) var isReady = false
  private var hasEnded = false

  var onUp: () -> Void = {}
  /// The connection is lost, or could not be made; another attempt follows.
  var onDown: (PostgresError) -> Void = { _ in }
  var onNotification: (String, String) -> Void = { _, _ in }

  /// How long one attempt to connect may take, to all servers together, and how long the next one waits.
  private static let maxConnecting = Duration.seconds(5)
  private static let maxPause = Duration.seconds(3)
  /// Once a server can be reached, every lane has reached it by then.
  static let maxReturn = maxConnecting + maxPause

  init(
    _ address: PostgresAddress, on loop: EventLoop,
    prepare: @escaping (PostgresConnection, @escaping (PostgresError?) -> Void) -> Void
  ) {
    self.address = address
    self.loop = loop
    self.prepare = prepare
  }

  func start() {
    guard !hasEnded, connection == nil else { return }
    if watchdog == nil { watch() }
    connection = PostgresConnection.connect(address, within: Self.maxConnecting, on: loop) { [weak self] result in
      guard let self, let connection else { return }
      if case .failure(let error) = result { return down(error) }
      connection.onLoss = { [weak self] error in self?.down(error) }
      connection.onNotification = { [weak self] channel, text in self?.onNotification(channel, text) }
      prepare(connection) { [weak self, weak connection] problem in
        guard let self, let connection, connection === self.connection else { return }
        if let problem { return down(problem) }
        backoff.reset()
        isReady = true
        onUp()
      }
    }
  }

  /// Nothing is called any more.
  func stop() {
    hasEnded = true
    isReady = false
    retry?.cancel()
    watchdog?.cancel()
    connection?.close()
    connection = nil
  }

  private func watch() {
    watchdog = loop.schedule(after: .seconds(1)) { [weak self] in
      guard let self, !hasEnded else { return }
      if let since = connection?.waitingSince, loop.now - since > maxSilence { drop("no answer for \(maxSilence)") }
      watch()
    }
  }

  /// Gives up a connection that stands, and makes another.
  func drop(_ reason: String) {
    guard connection != nil else { return }
    down(PostgresError(.connection, reason))
  }

  /// Runs a transaction on a lane that is ready; its answer may be that the connection broke.
  func run(_ calls: [PostgresCall], _ completion: @escaping (Answer) -> Void) {
    guard isReady, let connection else {
      return loop.afterTurn { completion(.failure(PostgresError(.connection, "there is no connection"))) }
    }
    lost.append(completion)
    let number = firstNumber + lost.count - 1
    connection.run(calls) { [weak self] answer in self?.answer(number, answer) }
  }

  /// What is not answered yet, by number: for connections that are given up.
  private var lost: [((Answer) -> Void)?] = []
  private var firstNumber = 0

  private func answer(_ number: Int, _ answer: Answer) {
    let index = number - firstNumber
    guard lost.indices.contains(index), let completion = lost[index].take() else { return }
    while let first = lost.first, first == nil {
      lost.removeFirst()
      firstNumber += 1
    }
    completion(answer)
  }

  private func down(_ error: PostgresError) {
    guard !hasEnded else { return }
    isReady = false
    connection?.close()
    connection = nil
    let unanswered = lost
    firstNumber += lost.count
    lost = []
    let delay = backoff.nextDelay(using: &random) ?? .seconds(1)
    retry = loop.schedule(after: delay) { [weak self] in self?.start() }
    onDown(error)
    for completion in unanswered { completion?(.failure(PostgresError(.connection, "\(error)"))) }
  }
}
