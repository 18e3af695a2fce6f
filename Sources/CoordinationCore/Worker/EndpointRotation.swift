package import Primitives

/// Which of several addresses is dialled next, and when: random order with the pacing of Happy Eyeballs (RFC 8305 §5).
///
/// A round is one attempt to reach any of them. It dials them one after the other, the next when one has failed or when the
/// newest attempt is `pacing` old, whichever comes first; whoever answers first ends the round, and the caller drops the
/// others. A round has failed once nobody is being dialled and nobody is left to dial: that is what a backoff counts.
///
/// The order is drawn anew for each round, so that those who lose one coordinator spread over the others. Two things weigh
/// more than chance. Where a session was lost without a word is tried first: if only the connection was cut, the session
/// is still there in memory, and moving it would cost others work; if it is dead, it costs one `pacing` at most. Who let
/// us in and then had no use for us is tried last. And who asked not to be called for a while is left out while others can
/// be asked.
///
/// A value without a clock: times and randomness come in as arguments.
package struct EndpointRotation: Sendable {
  /// RFC 8305 §8 recommends it as the delay between attempts.
  package static let pacing: Duration = .milliseconds(250)
  /// Nobody is left out for longer, whatever was asked.
  package static let longestHold: Duration = .seconds(300)
  /// While one is dialled that does not answer, those that failed are tried again, after waits that grow from here…
  private static let firstRetry: Duration = .seconds(1)
  /// …to here.
  private static let lastRetry: Duration = .seconds(8)

  /// What the caller does next.
  package enum Step: Equatable, Sendable {
    case dial(Int)
    /// Ask again then, or as soon as a dialled one has failed; `nil`: only then.
    case wait(until: Instant?)
    /// The round has failed.
    /// - Parameter retryAfter: how long everybody asked to be left alone, if all of them did.
    case failed(retryAfter: Duration?)
  }

  private struct Endpoint {
    var isDialled = false
    /// Within this round.
    var failures = 0
    /// Not before this moment, within this round.
    var due = Instant.zero
    /// It asked to be left alone until then.
    var heldUntil = Instant.zero
  }

  private var endpoints: [Endpoint]
  private var order: [Int]
  private var newestDial: Instant?
  private var retries: Backoff
  /// The endpoint of the connection that there is, or was last.
  private var current: Int?
  /// Whether that connection was of use.
  private var hasServed = false

  /// - Parameter count: how many addresses there are; they are known by their index.
  package init(count: Int) {
    endpoints = Array(repeating: Endpoint(), count: max(1, count))
    order = Array(endpoints.indices)
    retries = Backoff(Backoff.Configuration(base: Self.firstRetry, cap: Self.lastRetry))
  }

  /// A new round.
  package mutating func begin(at now: Instant, using random: inout some RandomNumberGenerator) {
    order = Array(endpoints.indices).shuffled(using: &random)
    if let current, let place = order.firstIndex(of: current) {
      order.remove(at: place)
      order.insert(current, at: hasServed ? 0 : order.endIndex)
    }
    newestDial = nil
    retries.reset()
    let areAllHeld = endpoints.allSatisfy { $0.heldUntil > now }
    for index in endpoints.indices {
      endpoints[index].isDialled = false
      endpoints[index].failures = 0
      // Somebody wants a round now, and there is nobody better to ask.
      endpoints[index].due = areAllHeld ? now : max(now, endpoints[index].heldUntil)
    }
  }

  /// What to do now; ask until it is no `dial`.
  package mutating func next(at now: Instant) -> Step {
    let isDialling = endpoints.contains(where: \.isDialled)
    let waiting = order.filter { !endpoints[$0].isDialled }
    let untried = waiting.filter { endpoints[$0].failures == 0 }
    if !isDialling, !untried.contains(where: { endpoints[$0].due <= now }) {
      return .failed(retryAfter: timeHeldByAll(at: now))
    }
    let ready = (untried + waiting.filter { endpoints[$0].failures > 0 }).first { endpoints[$0].due <= now }
    let paced = newestDial.map { $0 + Self.pacing } ?? now
    guard let ready else { return .wait(until: waiting.map { max(paced, endpoints[$0].due) }.min()) }
    guard paced <= now else { return .wait(until: paced) }
    endpoints[ready].isDialled = true
    newestDial = now
    return .dial(ready)
  }

  /// A dialled one did not let us in.
  /// - Parameter retryAfter: how long it asked not to be called again.
  package mutating func failed(
    _ index: Int, at now: Instant, retryAfter: Duration?, using random: inout some RandomNumberGenerator
  ) {
    guard endpoints.indices.contains(index), endpoints[index].isDialled else { return }
    endpoints[index].isDialled = false
    endpoints[index].failures += 1
    endpoints[index].due = now + (retries.nextDelay(using: &random) ?? Self.lastRetry)
    // The next one need not wait for its turn.
    newestDial = nil
    if let retryAfter { hold(index, for: retryAfter, at: now) }
    if current == index { current = nil }
  }

  /// A dialled one let us in; the others are dropped.
  package mutating func opened(_ index: Int) {
    (current, hasServed) = (index, false)
    for index in endpoints.indices { endpoints[index].isDialled = false }
  }

  /// The connection is of use: the session was accepted, a request was answered.
  package mutating func served() { hasServed = true }

  /// The connection has ended.
  /// - Parameter retryAfter: how long its other end asked not to be called again.
  /// - Returns: how long to wait before the next round because nobody else could be asked sooner.
  package mutating func ended(at now: Instant, retryAfter: Duration?) -> Duration? {
    guard let retryAfter, let current else { return nil }
    hold(current, for: retryAfter, at: now)
    return timeHeldByAll(at: now)
  }

  private mutating func hold(_ index: Int, for time: Duration, at now: Instant) {
    endpoints[index].heldUntil = now + max(.zero, min(time, Self.longestHold))
    endpoints[index].due = max(endpoints[index].due, endpoints[index].heldUntil)
  }

  private func timeHeldByAll(at now: Instant) -> Duration? {
    guard let first = endpoints.map(\.heldUntil).min(), first > now else { return nil }
    return first - now
  }
}
