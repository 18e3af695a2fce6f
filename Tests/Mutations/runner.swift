import CoordinationCore
import Simulation

/// Runs seeds until one notices the mutant at work: `runner MUTANT FIRST-SEED SEEDS`; mutant 0 is none.
@main enum Runner {
  static func main() {
    let numbers = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
    guard numbers.count == 3 else { return print("usage: runner MUTANT FIRST-SEED SEEDS") }
    Mutation.active = Int(numbers[0])
    for offset in 0..<numbers[2] {
      var run = SeededRun(seed: numbers[1] &+ offset)
      guard let problem = run.run().first else { continue }
      return print("seed \(numbers[1] &+ offset): \(problem)")
    }
    print("no seed of \(numbers[2])")
  }
}
