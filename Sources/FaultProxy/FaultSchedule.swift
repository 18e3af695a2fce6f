import ArgumentParsing
import Primitives

/// Commands and when each is due, counted from the proxy's start.
public struct FaultSchedule: Equatable, Sendable {
  public struct Entry: Equatable, Sendable {
    public var at: Duration
    /// As it is written.
    public var text: String
    public var command: FaultCommand
  }

  public var entries: [Entry]

  /// Reads lines of a time and a command, `2.5s up latency=200ms`; empty ones and those that begin with # are skipped.
  public init(text: String) throws(FaultCommand.Problem) {
    entries = []
    let type = ArgumentType<Duration>.duration()
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let trimmed = line.drop { $0 == " " || $0 == "\t" }
      guard !trimmed.isEmpty, trimmed.first != "#" else { continue }
      let time = trimmed.prefix { $0 != " " && $0 != "\t" }
      guard let at = type.read(String(time)) else {
        throw FaultCommand.Problem(description: "line \(index + 1): \(time): expected \(type.expectation) first")
      }
      let rest = String(trimmed.dropFirst(time.count).drop { $0 == " " || $0 == "\t" })
      do throws(FaultCommand.Problem) {
        entries.append(Entry(at: at, text: rest, command: try FaultCommand(rest)))
      } catch {
        throw FaultCommand.Problem(description: "line \(index + 1): \(error)")
      }
    }
    // Stable: what is due at one time is done in the order of the lines.
    entries = entries.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
  }
}

/// Draws a fault and its end, again and again, from a seed: the same seed draws the same ones.
public struct FaultDraw: Sendable {
  private var random: SeededGenerator

  public init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// A fault's command, and after how long it is over (`heal`).
  /// - Parameter longest: how long it lasts at most; at least a tenth of that.
  public mutating func next(longest: Duration) -> (text: String, lasts: Duration) {
    let direction = ["up", "down", "both"][Int.random(in: 0..<3, using: &random)]
    let one = Bool.random(using: &random) ? "up" : "down"
    let number = Int.random(in: 1...1_000, using: &random)
    let text =
      switch Int.random(in: 0..<12, using: &random) {
      case 0: "cut"
      case 1: "cut \(one) after=\(number * 3)"
      case 2: "blackhole on"
      case 3: "refuse on"
      case 4: "half-open \(Bool.random(using: &random) ? "near" : "far")"
      case 5: "\(direction) hold"
      case 6: "\(one) hold"
      case 7: "\(direction) latency=\(number)ms jitter=\(number / 2)ms"
      case 8: "\(direction) bandwidth=\(number * 10)"
      case 9: "\(direction) slice=\(number % 9 + 1) pause=1ms"
      case 10: "stall on"
      default: "\(direction) corrupt=\(number * 5)"
      }
    let share = Double.random(in: 0.1...1, using: &random)
    return (text: text, lasts: .nanoseconds(Int64(share * Double(longest.wholeNanoseconds))))
  }
}
