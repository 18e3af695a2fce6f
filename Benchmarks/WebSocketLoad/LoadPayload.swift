import Primitives

/// What a load generator's messages say: the same for the same kind, size and slot, on every machine.
public enum LoadPayload {
  public enum Kind: String, Sendable {
    case binary, text
  }

  /// Exactly `size` bytes; each slot of the pipeline has its own, so that swapped answers are noticed.
  public static func make(_ kind: Kind, size: Int, slot: Int) -> [UInt8] {
    var random = SeededGenerator(seed: 0x5EED + UInt64(slot))
    switch kind {
    case .binary: return (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next() >> 32) }
    case .text: return json(size: size, using: &random)
    }
  }

  /// The start of a status report as a fleet of workers would send it: ASCII, about as compressible as such things are.
  private static func json(size: Int, using random: inout SeededGenerator) -> [UInt8] {
    var text =
      "{\"type\":\"state_update\",\"worker_id\":\"worker-\(Int.random(in: 10...99, using: &random))\",\"sequence\":"
      + "\(Int.random(in: 1_000_000...9_999_999, using: &random)),\"tasks\":["
    let states = ["RUNNING", "QUEUED", "COMPLETED", "PAUSED", "ASSIGNED"]
    while text.utf8.count < size {
      text +=
        "{\"task_id\":\"task-\(Int.random(in: 100_000...999_999, using: &random))\",\"state\":\""
        + (states.randomElement(using: &random) ?? "QUEUED")
        + "\",\"progress\":0.\(Int.random(in: 10...99, using: &random)),\"attempt\":"
        + "\(Int.random(in: 1...4, using: &random)),\"host\":\"10.0.\(Int.random(in: 0...255, using: &random))."
        + "\(Int.random(in: 1...254, using: &random))\",\"elapsed_ms\":\(Int.random(in: 1...90_000, using: &random))},"
    }
    return Array(text.utf8.prefix(size))
  }
}
