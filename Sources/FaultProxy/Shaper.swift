import Primitives

/// Decides when the bytes of one direction of one connection go on: a value, which is told the time.
///
/// Faults are looked at when bytes are about to leave and not when they came, so that a change concerns those that wait.
struct Shaper {
  private struct Chunk {
    let arrived: Instant
    /// From -1 to 1: where in the jitter's range this chunk lies.
    let wobble: Double
    var bytes: ArraySlice<UInt8>
  }

  enum Next: Equatable {
    /// These may go on now.
    case bytes([UInt8])
    case wait(until: Instant)
    /// Nothing will happen before more arrives or the faults change.
    case idle
  }

  private var chunks: [Chunk] = []
  private var head = 0
  private(set) var waiting = 0
  /// When the last bytes left, or should have: a late timer must not slow the line down. It lies at most `maxCatchUp`
  /// back, so that a line that stood still does not pass at once what it would have passed meanwhile.
  private var lastLeft = Instant.zero
  private var lastWasSlice = false
  private static let maxCatchUp = Duration.milliseconds(100)
  private var random: SeededGenerator
  /// Its own sequence: how bytes were cut into reads changes what `random` draws, and must not change what is corrupted.
  private var noise: SeededGenerator
  private var untilCorrupt: Int?
  private(set) var corrupted = 0

  init(_ random: SeededGenerator) {
    self.random = random
    noise = self.random.split()
  }

  var isEmpty: Bool { waiting == 0 }

  /// Reads that wait; each takes a little memory beside its bytes.
  var waitingReads: Int { chunks.count - head }

  mutating func arrive(_ bytes: [UInt8], at now: Instant) {
    guard !bytes.isEmpty else { return }
    chunks.append(Chunk(arrived: now, wobble: Double.random(in: -1...1, using: &random), bytes: bytes[...]))
    waiting += bytes.count
  }

  mutating func clear() {
    chunks = []
    head = 0
    waiting = 0
  }

  mutating func next(_ faults: Faults, at now: Instant) -> Next {
    guard head < chunks.count, faults.delivery != .held else { return .idle }
    let chunk = chunks[head]
    let wobble = Duration.nanoseconds(Int64(chunk.wobble * Double(faults.jitter.wholeNanoseconds)))
    var leaves = max(chunk.arrived + max(faults.latency + wobble, .zero), lastLeft)
    var count = chunk.bytes.count
    let isSlice = faults.sliceBytes != nil
    if let slice = faults.sliceBytes {
      count = min(count, max(slice, 1))
      if lastWasSlice { leaves = max(leaves, lastLeft + faults.slicePause) }
    }
    if let rate = faults.bytesPerSecond.map({ max($0, 1) }) {
      // A twentieth of a second at a time: smooth enough for whoever reads, and few enough timers.
      count = min(count, max(rate / 20, 1))
      leaves = leaves + .nanoseconds(Int64(Double(count) / Double(rate) * 1e9))
    }
    guard now >= leaves else { return .wait(until: leaves) }
    lastLeft = max(leaves, now - Self.maxCatchUp)
    lastWasSlice = isSlice
    return .bytes(take(count, faults))
  }

  private mutating func take(_ count: Int, _ faults: Faults) -> [UInt8] {
    var bytes = Array(chunks[head].bytes.prefix(count))
    chunks[head].bytes = chunks[head].bytes.dropFirst(count)
    waiting -= count
    if chunks[head].bytes.isEmpty {
      head += 1
      if head * 2 >= chunks.count {
        chunks.removeFirst(head)
        head = 0
      }
    }
    corrupt(&bytes, faults.corruptsOneIn)
    return bytes
  }

  private mutating func corrupt(_ bytes: inout [UInt8], _ oneIn: Int?) {
    guard let oneIn else { return untilCorrupt = nil }
    // Evenly around the mean, for the same bytes always at the same places.
    let gaps = 1...max(1, 2 * min(max(oneIn, 1), Int(Int32.max)) - 1)
    var position = untilCorrupt ?? (Int.random(in: gaps, using: &noise) - 1)
    while position < bytes.count {
      bytes[position] ^= UInt8.random(in: 1...255, using: &noise)
      corrupted += 1
      position += Int.random(in: gaps, using: &noise)
    }
    untilCorrupt = position - bytes.count
  }
}
