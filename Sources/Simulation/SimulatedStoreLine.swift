import Primitives

/// What one run of a coordinator asks of the shared store: answered in the order of the questions, each of which takes
/// effect once, at an instant between asking and answering.
///
/// While the store is away for the coordinator, questions wait. When the process dies, some of those that had been asked
/// still take effect, as late as they would have.
final class SimulatedStoreLine {
  private struct Question {
    let due: Instant
    let answerDelay: Duration
    let takeEffect: () -> (() -> Void)
  }

  private unowned let fleet: SimulatedFleet
  private var questions: [Question] = []
  private var answers: [(due: Instant, body: () -> Void)] = []
  private var lastDue: Instant = .zero
  private var lastAnswer: Instant = .zero
  private var awayUntil: Instant = .zero
  /// Whether nobody listens any more.
  private(set) var isDeaf = false

  init(_ fleet: SimulatedFleet) { self.fleet = fleet }

  /// Questions that have not taken effect.
  var waiting: Int { questions.count }
  var isAway: Bool { fleet.now < awayUntil }

  func away(until time: Instant) { awayUntil = max(awayUntil, time) }

  /// - Parameters:
  ///   - delay: between asking and answering.
  ///   - takeEffect: returns what is done when the answer has come.
  func ask(_ delay: Duration, _ takeEffect: @escaping () -> (() -> Void)) {
    guard !isDeaf else { return }
    lastDue = max(lastDue, fleet.now + delay / 2)
    questions.append(Question(due: lastDue, answerDelay: delay / 2, takeEffect: takeEffect))
    fleet.schedule(at: lastDue) { [self] in pump() }
  }

  private func pump() {
    while let first = questions.first, first.due <= fleet.now {
      guard !isAway else { return fleet.schedule(at: awayUntil) { [self] in pump() } }
      questions.removeFirst()
      let answer = first.takeEffect()
      guard !isDeaf else { continue }
      lastAnswer = max(lastAnswer, fleet.now + first.answerDelay)
      answers.append((due: lastAnswer, body: answer))
      fleet.schedule(at: lastAnswer) { [self] in pumpAnswers() }
    }
  }

  private func pumpAnswers() {
    while !isDeaf, let first = answers.first, first.due <= fleet.now {
      guard !isAway else { return fleet.schedule(at: awayUntil) { [self] in pumpAnswers() } }
      answers.removeFirst()
      first.body()
    }
  }

  /// The process is gone, and whatever it still could have asked.
  /// - Parameter reached: how many of the questions that wait take effect nevertheless.
  func close(reached: Int) {
    isDeaf = true
    answers = []
    questions.removeLast(questions.count - (isAway ? 0 : min(reached, questions.count)))
  }

  /// All that was asked takes effect at once, if the store is there.
  func finish() {
    let waiting = questions
    close(reached: 0)
    if !isAway { for question in waiting { _ = question.takeEffect() } }
  }
}
