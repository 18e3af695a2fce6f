import CoordinationCore
import Primitives
import Reactor
import WebSocket
import WebSocketCore

/// Reaches whichever of several coordinators answers first, as `EndpointRotation` says. For a core above it a whole round is
/// one attempt. A `Link` is what hears of one connection; it is made anew for each.
///
/// Kept by whoever connects; everything is called on the loop.
final class CoordinatorDialer<Link: WebSocketDelegate> {
  /// How one of them is called.
  struct Call {
    let link: Link
    let configuration: WebSocketConfiguration
    /// Proofs among them are for this call alone.
    let headers: HTTPHeaders
  }

  enum Verdict: Equatable {
    /// It may be the one later.
    case notNow
    /// It is there, and calling again would not help.
    case notAdmitted, notACoordinator
  }

  /// Why one of them is not the one.
  struct Refusal: Equatable {
    var text: String
    /// How long it asked not to be called again, or should not be.
    var retryAfter: Duration?
    var verdict = Verdict.notNow
  }

  /// What is to be known of a round.
  struct Round {
    let call: (WebSocketURL) -> Call
    let refusal: (WebSocketError) -> Refusal
    /// Nobody is left to call: what each said last, and how long to wait if everybody asked for it.
    let failed: ([Refusal], Duration?) -> Void
  }

  private struct Attempt {
    let link: Link
    let connecting: WebSocketConnectAttempt
  }

  private let urls: [WebSocketURL]
  private let loop: EventLoop
  private let tls: TLSClientContext?
  private var rotation: EndpointRotation
  private var random = SystemRandomNumberGenerator()
  private var round: Round?
  private var attempts: [Int: Attempt] = [:]
  private var refusals: [Int: Refusal] = [:]
  private var timer: Timer?

  init(_ urls: [WebSocketURL], tls: TLSClientContext?, on loop: EventLoop) {
    self.urls = urls
    self.tls = tls
    self.loop = loop
    rotation = EndpointRotation(count: urls.count)
    timer = loop.makeTimer { [weak self] in self?.proceed() }
  }

  /// Begins a round, in place of one that is still under way.
  func start(_ round: Round) {
    cancel()
    self.round = round
    rotation.begin(at: loop.now, using: &random)
    proceed()
  }

  /// Drops the round; nothing more is heard of it.
  func cancel() {
    round = nil
    timer?.cancel()
    refusals = [:]
    let dropped = attempts.values.map(\.connecting)
    attempts = [:]
    for attempt in dropped { attempt.cancel() }
  }

  // MARK: What links say

  /// Whether the round goes on and this is one of its links.
  func isCalling(_ link: Link) -> Bool { index(of: link) != nil }

  /// This one is the one.
  func settle(on link: Link) {
    guard let index = index(of: link) else { return }
    attempts[index] = nil
    rotation.opened(index)
    cancel()
  }

  /// This one let us in, and is not the one all the same.
  func refuse(_ link: Link, _ refusal: Refusal) {
    if let index = index(of: link) { failed(index, refusal) }
  }

  /// The connection that was settled on is of use.
  func served() { rotation.served() }

  /// The connection that was settled on has ended.
  /// - Parameter retryAfter: how long its other end asked not to be called again.
  /// - Returns: how long to wait because nobody else could be asked sooner.
  func ended(retryAfter: Duration?) -> Duration? { rotation.ended(at: loop.now, retryAfter: retryAfter) }

  private func index(of link: Link) -> Int? { attempts.first { $0.value.link === link }?.key }

  // MARK: The round

  private func proceed() {
    while let round {
      switch rotation.next(at: loop.now) {
      case .dial(let index): dial(index, round)
      case .wait(let until?):
        timer?.start(after: max(until - loop.now, .milliseconds(1)))
        return
      case .wait(nil):
        timer?.cancel()
        return
      case .failed(let retryAfter):
        let refusals = refusals.sorted { $0.key < $1.key }.map(\.value)
        cancel()
        round.failed(refusals, retryAfter)
      }
    }
  }

  private func dial(_ index: Int, _ round: Round) {
    let call = round.call(urls[index])
    let link = call.link
    let connecting = WebSocketClient.connect(
      to: urls[index], on: loop, configuration: call.configuration, tls: tls, headers: call.headers, delegate: link
    ) { [weak self, weak link] in
      guard let self, let link, self.attempts[index]?.link === link, case .failure(let error) = $0 else { return }
      self.failed(index, round.refusal(error))
    }
    attempts[index] = Attempt(link: link, connecting: connecting)
  }

  private func failed(_ index: Int, _ refusal: Refusal) {
    attempts[index] = nil
    var named = refusal
    if urls.count > 1 { named.text = "\(urls[index].address): \(refusal.text)" }
    refusals[index] = named
    rotation.failed(index, at: loop.now, retryAfter: refusal.retryAfter, using: &random)
    proceed()
  }
}

@available(*, unavailable) extension CoordinatorDialer: Sendable {}

extension CoordinatorDialer.Refusal {
  /// What several said, in one line.
  static func text(_ refusals: [Self]) -> String {
    let shown = refusals.prefix(4).map(\.text).joined(separator: "; ")
    return refusals.count > 4 ? "\(shown); and \(refusals.count - 4) more" : shown
  }
}
