import Terminal

/// How far files have come, on a terminal.
final class FileProgress {
  private let verb: String
  private let total: Int
  private var done = 0
  private var shown = -1

  init(_ verb: String, bytes: Int) {
    self.verb = verb
    total = bytes
  }

  func add(_ bytes: Int) {
    done += bytes
    guard Console.standard.outputIsTerminal, total > 0 else { return }
    // What was damaged on the way is sent again, and counted again.
    let percent = min(100, Int(Double(done) * 100 / Double(total)))
    guard percent != shown else { return }
    shown = percent
    Console.standard.show(live: "\(verb) files: \(percent) % of \(Self.text(total))")
  }

  func end() { Console.standard.show(live: "") }

  /// `20.0 MB`, `512 B`.
  static func text(_ bytes: Int) -> String {
    var value = Double(bytes)
    var units = ["B", "kB", "MB", "GB", "TB"][...]
    while value >= 1_000, units.count > 1 {
      value /= 1_000
      units.removeFirst()
    }
    let unit = units.first ?? "B"
    let tenths = Int((value * 10).rounded())
    return unit == "B" ? "\(bytes) B" : "\(tenths / 10).\(tenths % 10) \(unit)"
  }
}
