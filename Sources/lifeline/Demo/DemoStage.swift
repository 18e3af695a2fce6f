import Primitives
import Reactor
import Terminal

/// A demonstration's time: what happens when, what is said of it, and how it ends.
final class DemoStage {
  enum End {
    case finished
    case interrupted
    case failed(String)
  }

  private static let progressInterval: Duration = .milliseconds(200)

  let loop: EventLoop
  let console = Console.standard
  private var line: ProgressLine
  private var timers: [Timer] = []
  private var isActing = true
  /// From when on everything said is timed.
  private(set) var began = Instant.zero
  private(set) var end: End?
  /// Called once, when it ends.
  var onEnd: (() -> Void)?

  init(on loop: EventLoop) {
    self.loop = loop
    line = ProgressLine(isTerminal: console.outputIsTerminal, unit: "commands")
  }

  /// The clock begins, and from now on shows how far everything is.
  func begin(showing progress: @escaping () -> Progress) {
    began = loop.now
    tickAgain(progress)
  }

  private func tickAgain(_ progress: @escaping () -> Progress) {
    schedule(Self.progressInterval) { [weak self] in
      guard let self else { return }
      console.show(line.update(progress(), columns: console.outputColumns ?? TerminalDevice.usualColumns))
      tickAgain(progress)
    }
  }

  /// Does something so many seconds from now, while there is anybody to do it to.
  func at(_ seconds: Double, _ body: @escaping () throws -> Void) {
    schedule(.seconds(seconds)) { [weak self] in
      if let self, isActing { attempt(body) }
    }
  }

  /// It ends then at the latest, and has failed; `reason` says why.
  func limit(_ limit: Duration, _ reason: @escaping () -> String) {
    schedule(limit) { [weak self] in self?.end(.failed(reason())) }
  }

  private func schedule(_ delay: Duration, _ body: @escaping () -> Void) {
    timers.append(
      loop.schedule(after: delay) { [weak self] in
        if let self, end == nil { body() }
      })
  }

  /// Nothing more happens to anybody: what is left is to look.
  func stopActing() { isActing = false }

  func end(_ end: End) {
    guard self.end == nil else { return }
    self.end = end
    for timer in timers { timer.cancel() }
    onEnd?()
  }

  func attempt(_ body: () throws -> Void) {
    do { try body() } catch { end(.failed("\(error)")) }
  }

  // MARK: What is said

  static func text(_ duration: Duration) -> String {
    let tenths = Int((duration.inSeconds * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) s"
  }

  func say(_ text: String, _ style: TextStyle.Emphasis = .none) {
    let time = Self.text(began == .zero ? .zero : loop.now - began)
    console.write(
      line: String(repeating: " ", count: max(0, 7 - time.count)) + time + "  "
        + console.outputStyle.apply(style, to: text))
  }

  /// Where it has not come to its end, says why.
  /// - Returns: whether it has.
  func tellEnd() -> Bool {
    console.show(live: "")
    switch end {
    case .failed(let reason): console.complain("lifeline demo: \(reason)")
    case .interrupted, nil: console.complain("lifeline demo: interrupted")
    case .finished: return true
    }
    return false
  }
}
