@testable import WebSocketCore

/// Flags: 0 and 1 choose what to do, 2 to 4 the window, 5 context takeover, 6 shared contexts, 7 piece by piece.
enum DeflateTarget {
  static func run(_ input: inout FuzzInput) throws(Finding) {
    switch input.flags & 3 {
    case 0: try negotiate(input)
    case 1: try inflateAnything(input)
    default: try roundTrip(input)
    }
  }

  private static func windowBits(_ input: FuzzInput) -> Int { 8 + Int(input.flags >> 2 & 7) }

  // MARK: Negotiation

  private static func negotiate(_ input: FuzzInput) throws(Finding) {
    var headers = HTTPHeaders()
    let field = String(decoding: input.rest, as: UTF8.self)
    guard headers.append("Sec-WebSocket-Extensions", field), let elements = try? ExtensionOffer.parse([field]) else {
      return
    }
    var configuration = CompressionConfiguration(context: input.has(6) ? .shared : .dedicated)
    configuration.maxOutgoingWindowBits = windowBits(input)
    configuration.maxIncomingWindowBits = input.has(5) ? windowBits(input) : 15
    try serve(elements, configuration)
    guard let confirmed = try? Extensions.confirmed(by: elements, offered: configuration).deflate else { return }
    try check(confirmed, .client, configuration)
  }

  /// What a server chooses is what it offers to do, and its answer says the same to a client of the same mind.
  private static func serve(_ offers: [ExtensionOffer], _ configuration: CompressionConfiguration) throws(Finding) {
    let extensions = Extensions.negotiated(from: offers, configuration)
    guard let agreement = extensions.deflate else {
      return try require(extensions.responseValue == nil, "an answer to nothing")
    }
    try check(agreement, .server, configuration)
    var answer = HTTPHeaders()
    try require(
      answer.append("Sec-WebSocket-Extensions", extensions.responseValue ?? ""), "the answer is no field's value")
    var client = CompressionConfiguration(context: .dedicated)
    client.maxIncomingWindowBits = 15
    client.maxOutgoingWindowBits = 15
    let understood: DeflateAgreement?
    do throws(HandshakeError) {
      understood = try Extensions.confirmed(
        by: ExtensionOffer.parse(answer.values("Sec-WebSocket-Extensions")), offered: client
      ).deflate
    } catch {
      throw Finding(description: "the answer is not understood: \(error)")
    }
    try require(understood == agreement, "agreed on \(agreement), understood \(String(describing: understood))")
  }

  private static func check(
    _ agreement: DeflateAgreement, _ role: Role, _ configuration: CompressionConfiguration
  ) throws(Finding) {
    let (outgoing, incoming) = (agreement.outgoing(for: role), agreement.incoming(for: role))
    try require(
      (8...configuration.maxOutgoingWindowBits).contains(outgoing.windowBits), "outgoing window: \(outgoing.windowBits)"
    )
    try require(
      (8...configuration.maxIncomingWindowBits).contains(incoming.windowBits), "incoming window: \(incoming.windowBits)"
    )
    if configuration.context == .shared {
      try require(!outgoing.takeover && !incoming.takeover, "shared contexts cannot be taken over")
    }
  }

  // MARK: Inflating

  private enum Inflated: Equatable {
    case message([UInt8])
    case refused(CloseCode)
  }

  private static let limit = Inflater.Limit(bytes: 32 * 1024, ratio: 1)

  private static func inflateAnything(_ input: FuzzInput) throws(Finding) {
    let message = Array(input.rest)
    guard let whole = Inflater(windowBits: windowBits(input)), let cut = Inflater(windowBits: windowBits(input)) else {
      throw Finding(description: "no inflater")
    }
    // Twice: what a message leaves behind must not depend on the pieces either.
    for _ in 0..<2 {
      let expected = inflate(whole, [message])
      let found = inflate(cut, message.isEmpty ? [[]] : input.cut(message))
      // zlib looks back beyond a small window as far as the output of the same call, so a peer that breaks its promise
      // of a window may be refused or not. What it is not refused must be the same.
      if windowBits(input) < 15, expected != found,
        expected == .refused(.invalidPayload) || found == .refused(.invalidPayload)
      {
        return
      }
      try require(expected == found, "inflating depends on the pieces: \(expected), \(found)")
      guard case .message(let output) = expected else { return }
      try require(output.count <= limit.bytes, "inflated to \(output.count) bytes")
      if !input.has(5) {
        whole.reset()
        cut.reset()
      }
    }
  }

  private static func inflate(_ inflater: Inflater, _ pieces: [[UInt8]]) -> Inflated {
    var output: [UInt8] = []
    do throws(ProtocolError) {
      for (index, piece) in pieces.enumerated() {
        try inflater.inflate(piece.span.bytes, isLast: index == pieces.count - 1, into: &output, limit: limit)
      }
      return .message(output)
    } catch {
      // Whether a message is cut off or wrong may depend on how many bits zlib looks ahead; the code does not.
      return .refused(error.closeCode)
    }
  }

  // MARK: Round trips

  private static let roomy = Inflater.Limit(bytes: 1 << 20, ratio: 2000)

  private static func roundTrip(_ input: FuzzInput) throws(Finding) {
    let bits = max(9, windowBits(input))
    let pool = CompressionPool()
    let memoryLevel = 1 + input.sizes.count % 9
    let level = 1 + (input.sizes.first ?? 5) % 9
    guard var deflater = pool.lendDeflater(windowBits: bits, memoryLevel: memoryLevel, level: level),
      var inflater = pool.lendInflater(windowBits: bits)
    else { throw Finding(description: "no contexts") }
    var rest = input.rest
    for part in [rest.count / 2, rest.count / 3, rest.count] {
      let message = Array(rest.prefix(part))
      rest = rest.dropFirst(part)
      var compressed: [UInt8] = []
      if input.has(7) {
        let pieces = message.isEmpty ? [[]] : input.cut(message)
        for (index, piece) in pieces.enumerated() {
          deflater.append(piece.span.bytes, isLast: index == pieces.count - 1, into: &compressed)
        }
      } else {
        try require(
          deflater.compress(message.span.bytes, into: &compressed, limit: .max), "compressing without a limit fails")
      }
      var output: [UInt8] = []
      do throws(ProtocolError) {
        let pieces = input.cut(compressed)
        for (index, piece) in pieces.enumerated() {
          try inflater.inflate(piece.span.bytes, isLast: index == pieces.count - 1, into: &output, limit: roomy)
        }
      } catch {
        throw Finding(description: "what was compressed does not inflate: \(error)")
      }
      try require(output == message, "\(message.count) bytes come back as \(output.count) others")
      if !input.has(5) {
        pool.takeBack(deflater)
        pool.takeBack(inflater)
        guard let nextDeflater = pool.lendDeflater(windowBits: bits, memoryLevel: memoryLevel, level: level),
          let nextInflater = pool.lendInflater(windowBits: bits)
        else { throw Finding(description: "no contexts") }
        (deflater, inflater) = (nextDeflater, nextInflater)
      }
    }
    try refuse(Array(input.rest), deflater)
  }

  /// A message that does not fit leaves no byte behind, and the context is good again after a reset.
  private static func refuse(_ message: [UInt8], _ deflater: Deflater) throws(Finding) {
    deflater.reset()
    var full: [UInt8] = []
    try require(deflater.compress(message.span.bytes, into: &full, limit: .max), "compressing without a limit fails")
    deflater.reset()
    var output: [UInt8] = [7]
    try require(
      !deflater.compress(message.span.bytes, into: &output, limit: full.count - 1), "a limit was not kept")
    try require(output == [7], "a refused message left \(output.count - 1) bytes")
    deflater.reset()
    try require(deflater.compress(message.span.bytes, into: &output, limit: full.count), "a limit was kept too well")
    try require(output == [7] + full, "a reset context compresses otherwise")
  }
}
