import Primitives
import Trials

/// One trial as somebody asked for it.
struct TrialPlan {
  let name: String
  let workers: Int
  let duration: Duration
  /// `nil` for a scenario, which has a rhythm of its own.
  let interval: Duration?
  let seed: UInt64
  var store = TrialStore()

  /// The command line that runs it again.
  var command: String {
    let numbers = "--workers \(workers) --duration \(Self.text(duration))" + store.words
    guard let interval else { return "lifeline stress --scenario \(name) \(numbers) --seed \(seed)" }
    return "lifeline e2e \(numbers) --disruption-interval \(Self.text(interval)) --seed \(seed)"
  }

  private static func text(_ duration: Duration) -> String {
    let milliseconds = duration.wholeMilliseconds
    return milliseconds.isMultiple(of: 1_000) ? "\(milliseconds / 1_000)" : "\(milliseconds)ms"
  }

  func options(in directory: String) -> TrialOptions {
    var options = TrialOptions(
      workers: workers, duration: duration, disruptionInterval: interval ?? .seconds(10), seed: seed,
      directory: directory, command: command)
    options.store = store.place
    options.coordinators = store.coordinators
    options.keepsStore = store.isKept
    return options
  }
}
