import CoordinationCore
import Reactor

/// Closes a coordinator's connections group by group, at the pace it was given.
final class SpreadClosing {
  private let pace: DrainPace
  private let loop: EventLoop
  private var rest: ArraySlice<(String) -> Void>
  private var completion: (() -> Void)?

  /// - Parameter closes: one for each connection, called with the reason to give.
  init(_ closes: [(String) -> Void], _ pace: DrainPace, on loop: EventLoop, _ completion: @escaping () -> Void) {
    self.pace = pace
    self.loop = loop
    self.completion = completion
    rest = closes[...]
  }

  /// Begins, and goes on until all are closed or it is abandoned; the last close is followed by the completion.
  func proceed() {
    let reason = RetryHint.reason(pace.retryAfter, "the coordinator is restarting")
    for close in rest.prefix(pace.perStep) { close(reason) }
    rest = rest.dropFirst(pace.perStep)
    guard rest.isEmpty else {
      loop.schedule(after: DrainPace.step) { [weak self] in self?.proceed() }
      return
    }
    let completion = completion.take()
    completion?()
  }

  /// Somebody else closes the rest.
  func abandon() {
    rest = []
    completion = nil
  }
}

@available(*, unavailable) extension SpreadClosing: Sendable {}
