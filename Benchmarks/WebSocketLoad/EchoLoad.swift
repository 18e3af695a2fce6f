import CEpoll
import Glibc
import Primitives

/// Messages to and fro on open connections: as many in flight on each as the depth says, a new one for each answer.
///
/// One thread, one receive buffer, one `read` and one `write` per readable event, and nothing allocated between. All
/// connections write the same prebuilt bytes, so that they stay in the processor's cache.
struct EchoLoad: ~Copyable {
  /// What a window of time saw.
  struct Window {
    var nanoseconds: UInt64 = 0
    var messages: UInt64 = 0
    /// Payload bytes of the answers, as they came over the wire.
    var payloadBytes: UInt64 = 0
    /// All bytes received, and sent.
    var receivedBytes: UInt64 = 0
    var sentBytes: UInt64 = 0
    var verified: UInt64 = 0
    var latency = LatencyHistogram()
  }

  /// One connection; trivial, so that thousands are one block of memory.
  private struct Peer {
    var descriptor: Int32
    /// The slots of the next message to go and of the next answer to come.
    var sending: Int32 = 0
    var receiving: Int32 = 0
    /// Bytes of the prebuilt frames that the socket did not take: a range of offsets.
    var unsentStart = 0
    var unsentEnd = 0
    /// A header that has begun.
    var header: (UInt64, UInt64) = (0, 0)
    var headerCount: Int32 = 0
    var opcode: UInt8 = 0
    var isFinal = false
    var isInMessage = false
    var isInFrame = false
    /// Whether this answer's bytes are looked at.
    var isChecked = false
    var isControl = false
    /// Bytes still to come of the frame, and those that came of the message.
    var payloadLeft = 0
    var messageCount = 0
    /// The bytes of a compressed answer that is checked; allocated when first needed.
    var collected: UnsafeMutablePointer<UInt8>?
    var collectedCount = 0
  }

  private static let receiveBytes = 256 * 1024
  private static let eventCount = 1024
  /// Every 64th answer is compared byte by byte.
  private static let sampling: UInt64 = 64

  private let depth: Int
  private let size: Int
  private let opcode: UInt8
  private let terms: Upgrade.Terms
  private let payloads: [[UInt8]]
  private let frames: UnsafeMutablePointer<UInt8>
  private let expected: UnsafeMutablePointer<UInt8>
  private let offsets: UnsafeMutablePointer<Int>
  private let peers: UnsafeMutablePointer<Peer>
  private let peerCount: Int
  private let sentAt: UnsafeMutablePointer<UInt64>
  private let buffer: UnsafeMutablePointer<UInt8>
  private let events: UnsafeMutablePointer<epoll_event>
  private let poller: Int32
  private let collectLimit: Int
  /// Decompressors of the connections that are checked, or of all in turn where the server keeps no context.
  private var inflaters: [Int: Inflater] = [:]

  /// Payloads of control frames that have begun.
  private var controls: [Int: [UInt8]] = [:]

  private var window = Window()
  private var answers: UInt64 = 0
  /// Answers that may still come, of those asked for; only counted down where their number is limited.
  private var allowance = UInt64.max

  init(_ descriptors: [Int32], _ terms: Upgrade.Terms, _ options: LoadOptions) throws(LoadError) {
    // All that may fail comes first: a value that is not complete cannot be taken apart.
    let payloads = (0..<options.depth).map { LoadPayload.make(options.kind, size: options.size, slot: $0) }
    var sent: [[UInt8]] = []
    for payload in payloads {
      sent.append(terms.isCompressed ? try RawDeflate.compress(payload, windowBits: terms.clientWindowBits) : payload)
    }
    var inflaters: [Int: Inflater] = [:]
    if terms.isCompressed {
      let step = terms.serverKeepsContext ? Int(Self.sampling) : max(1, descriptors.count)
      for index in stride(from: 0, to: descriptors.count, by: step) {
        inflaters[index] = try Inflater(keepsContext: terms.serverKeepsContext, limit: options.size)
      }
    }
    let poller = lifeline_epoll_create()
    guard poller >= 0 else { throw .system("epoll_create1") }
    self.poller = poller
    self.payloads = payloads
    self.inflaters = inflaters
    self.terms = terms
    depth = options.depth
    size = options.size
    opcode = options.kind == .text ? 1 : 2
    collectLimit = options.size + options.size / 2 + 1024
    let prebuilt = MaskedFrames(sent, kind: options.kind, isCompressed: terms.isCompressed)
    frames = Self.copy(prebuilt.bytes)
    offsets = Self.copy(prebuilt.offsets)
    expected = Self.copy(payloads.flatMap { $0 })
    sentAt = Self.copy([UInt64](repeating: 0, count: descriptors.count * options.depth))
    peerCount = descriptors.count
    peers = Self.copy(descriptors.map { Peer(descriptor: $0) })
    buffer = Self.copy([UInt8](repeating: 0, count: Self.receiveBytes))
    events = Self.copy([epoll_event](repeating: epoll_event(), count: Self.eventCount))
  }

  deinit {
    for index in 0..<peerCount {
      close(peers[index].descriptor)
      peers[index].collected?.deallocate()
    }
    close(poller)
    for pointer in [frames, expected, buffer] { pointer.deallocate() }
    offsets.deallocate()
    peers.deallocate()
    sentAt.deallocate()
    events.deallocate()
  }

  private static func copy<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let pointer = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
    pointer.initialize(from: elements, count: elements.count)
    return pointer
  }

  private func register() throws(LoadError) {
    for index in 0..<peerCount {
      let peer = peers + index
      guard
        lifeline_epoll_control(
          poller, lifeline_epoll_add, peer.pointee.descriptor, lifeline_epoll_in, UInt32(index)) == 0
      else { throw .system("epoll_ctl") }
    }
  }

  /// Puts the first messages on their way.
  mutating func start() throws(LoadError) {
    try register()
    for index in 0..<peerCount { try send(index, depth, at: Clocks.monotonic) }
  }

  /// Runs for a while and says what happened in it.
  mutating func run(for duration: Duration) throws(LoadError) -> Window {
    window = Window()
    let start = Clocks.monotonic
    let (seconds, attoseconds) = duration.components
    let end = start + UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    var now = start
    while now < end {
      try turn(timeout: Int32(clamping: (end - now) / 1_000_000 + 1))
      now = Clocks.monotonic
    }
    window.nanoseconds = now - start
    return window
  }

  /// Exchanges `rounds` messages on every connection, and is silent then.
  mutating func exchange(_ rounds: Int) throws(LoadError) {
    try register()
    guard rounds > 0 else { return }
    let wanted = UInt64(peerCount) * UInt64(rounds)
    // A connection sends one message for each answer but the last.
    allowance = wanted - UInt64(peerCount)
    for index in 0..<peerCount { try send(index, 1, at: Clocks.monotonic) }
    let end = Clocks.monotonic + 60_000_000_000
    while answers < wanted {
      guard Clocks.monotonic < end else { throw LoadError("\(answers) of \(wanted) answers came within 60 s") }
      try turn(timeout: 1000)
    }
  }

  private mutating func turn(timeout: Int32) throws(LoadError) {
    let ready = epoll_wait(poller, events, Int32(Self.eventCount), timeout)
    guard ready >= 0 || errno == EINTR else { throw .system("epoll_wait") }
    var at = 0
    while at < Int(ready) {
      let index = Int(lifeline_epoll_index(events, Int32(at)))
      let what = lifeline_epoll_ready(events, Int32(at))
      if what & lifeline_epoll_out != 0 { try flush(index) }
      if what & ~lifeline_epoll_out != 0 { try receive(index) }
      at += 1
    }
  }

  /// Sends the next `count` messages, at most as many as the depth.
  private mutating func send(_ index: Int, _ count: Int, at now: UInt64) throws(LoadError) {
    let peer = peers + index
    let first = Int(peer.pointee.sending)
    let times = sentAt + index * depth
    for slot in first..<(first + count) { times[slot < depth ? slot : slot - depth] = now }
    let next = first + count
    peer.pointee.sending = Int32(truncatingIfNeeded: next < depth ? next : next - depth)
    if peer.pointee.unsentStart != peer.pointee.unsentEnd {
      // Behind what waits already. The range may run past the two rounds: it is walked modulo one.
      peer.pointee.unsentEnd += offsets[next] - offsets[first]
      return
    }
    peer.pointee.unsentStart = offsets[first]
    peer.pointee.unsentEnd = offsets[next]
    try write(index)
    if peer.pointee.unsentStart != peer.pointee.unsentEnd { try watch(index, lifeline_epoll_in | lifeline_epoll_out) }
  }

  private mutating func write(_ index: Int) throws(LoadError) {
    let peer = peers + index
    let round = offsets[depth]
    while peer.pointee.unsentStart != peer.pointee.unsentEnd {
      let start = peer.pointee.unsentStart
      let count = min(peer.pointee.unsentEnd, 2 * round) - start
      let written = Glibc.write(peer.pointee.descriptor, frames + start, count)
      if written < 0 {
        if errno == EAGAIN || errno == EINTR { return }
        throw .system("write")
      }
      window.sentBytes &+= UInt64(written)
      peer.pointee.unsentStart += written
      if peer.pointee.unsentStart >= round {
        peer.pointee.unsentStart -= round
        peer.pointee.unsentEnd -= round
      }
      if written < count { return }
    }
  }

  private mutating func flush(_ index: Int) throws(LoadError) {
    try write(index)
    if peers[index].unsentStart == peers[index].unsentEnd { try watch(index, lifeline_epoll_in) }
  }

  private func watch(_ index: Int, _ events: UInt32) throws(LoadError) {
    guard lifeline_epoll_control(poller, lifeline_epoll_modify, peers[index].descriptor, events, UInt32(index)) == 0
    else { throw .system("epoll_ctl") }
  }

  private mutating func receive(_ index: Int) throws(LoadError) {
    let peer = peers + index
    let received = read(peer.pointee.descriptor, buffer, Self.receiveBytes)
    guard received > 0 else {
      if received < 0, errno == EAGAIN || errno == EINTR { return }
      throw received == 0 ? LoadError("the server closed connection \(index)") : .system("read")
    }
    let now = Clocks.monotonic
    window.receivedBytes &+= UInt64(received)
    var completed = 0
    var at = 0
    while at < received {
      if !peer.pointee.isInFrame {
        at += try beginFrame(peer, buffer + at, received - at)
        guard peer.pointee.isInFrame else { break }
      }
      let count = min(peer.pointee.payloadLeft, received - at)
      if peer.pointee.isControl {
        controls[index, default: []] += UnsafeBufferPointer(start: buffer + at, count: count)
      } else {
        if peer.pointee.isChecked { try inspect(peer, buffer + at, count) }
        peer.pointee.messageCount += count
      }
      at += count
      peer.pointee.payloadLeft -= count
      guard peer.pointee.payloadLeft == 0 else { break }
      peer.pointee.isInFrame = false
      if peer.pointee.isControl {
        try answerControl(index)
      } else if peer.pointee.isFinal {
        try endMessage(index, at: now)
        completed += 1
      }
    }
    guard completed > 0 else { return }
    if allowance < UInt64.max {
      completed = min(completed, Int(clamping: allowance))
      allowance -= UInt64(completed)
      guard completed > 0 else { return }
    }
    try send(index, completed, at: now)
  }

  /// Takes a frame's header, or what there is of it; how many bytes that were.
  @inline(__always)
  private mutating func beginFrame(
    _ peer: UnsafeMutablePointer<Peer>, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int
  ) throws(LoadError) -> Int {
    if peer.pointee.headerCount == 0, let (header, payload) = Self.lengths(bytes, count) {
      try enterFrame(peer, bytes[0], payload)
      return header
    }
    // Byte by byte: a header that two reads share is rare.
    let kept = Int(peer.pointee.headerCount)
    return try withUnsafeMutableBytes(of: &peer.pointee.header) { raw throws(LoadError) in
      guard let header = raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
      var taken = 0
      while taken < count {
        header[kept + taken] = bytes[taken]
        taken += 1
        if let (_, payload) = Self.lengths(header, kept + taken) {
          peer.pointee.headerCount = 0
          try enterFrame(peer, header[0], payload)
          return taken
        }
      }
      peer.pointee.headerCount = Int32(kept + taken)
      return taken
    }
  }

  /// The lengths of a whole header and of its payload; `nil` while bytes of the header are missing.
  @inline(__always)
  private static func lengths(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> (header: Int, payload: Int)? {
    guard count >= 2 else { return nil }
    let short = Int(bytes[1])
    if short < 126 { return (2, short) }
    if short == 126 { return count >= 4 ? (4, Int(bytes[2]) << 8 | Int(bytes[3])) : nil }
    // A mask, which a server must not use, makes the length too large for any message.
    guard short == 127 else { return (2, Int.max) }
    guard count >= 10 else { return nil }
    var length: UInt64 = 0
    for index in 2..<10 { length = length << 8 | UInt64(bytes[index]) }
    return (10, Int(clamping: length))
  }

  @inline(__always)
  private mutating func enterFrame(
    _ peer: UnsafeMutablePointer<Peer>, _ first: UInt8, _ payload: Int
  ) throws(LoadError) {
    peer.pointee.isInFrame = true
    peer.pointee.payloadLeft = payload
    peer.pointee.isControl = first & 0x08 != 0
    if peer.pointee.isControl {
      guard payload <= 125, first & 0xF0 == 0x80 else { throw Self.wrongHeader(first) }
      peer.pointee.opcode = first & 0x0F
      return
    }
    peer.pointee.isFinal = first & 0x80 != 0
    if !peer.pointee.isInMessage {
      // RSV1 says that a message is compressed; whether it is, is the server's choice.
      guard first & 0x3F == opcode, first & 0x40 == 0 || terms.isCompressed else { throw Self.wrongHeader(first) }
      peer.pointee.isInMessage = true
      peer.pointee.messageCount = 0
      peer.pointee.collectedCount = 0
      peer.pointee.isChecked = isChecked(peer, isCompressed: first & 0x40 != 0)
    } else if first & 0x7F != 0 {
      throw Self.wrongHeader(first)
    }
    guard payload <= collectLimit - peer.pointee.messageCount else {
      throw LoadError("the server announces a frame of \(payload) bytes, or a masked one")
    }
  }

  private static func wrongHeader(_ first: UInt8) -> LoadError {
    LoadError("the server sent a frame that begins with 0x\(String(first, radix: 16)), which is no echo")
  }

  @inline(__always)
  private func isChecked(_ peer: UnsafeMutablePointer<Peer>, isCompressed: Bool) -> Bool {
    if terms.isCompressed, terms.serverKeepsContext { return inflaters[peer - peers] != nil }
    return answers % Self.sampling == 0
  }

  /// Compares what came of a message, or keeps it until the message is complete.
  private mutating func inspect(
    _ peer: UnsafeMutablePointer<Peer>, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int
  ) throws(LoadError) {
    guard terms.isCompressed else {
      let start = peer.pointee.messageCount
      guard start + count <= size,
        memcmp(expected + Int(peer.pointee.receiving) * size + start, bytes, count) == 0
      else { throw LoadError("an answer differs from what was sent") }
      return
    }
    let collected = peer.pointee.collected ?? .allocate(capacity: collectLimit)
    peer.pointee.collected = collected
    (collected + peer.pointee.collectedCount).update(from: bytes, count: count)
    peer.pointee.collectedCount += count
  }

  @inline(__always)
  private mutating func endMessage(_ index: Int, at now: UInt64) throws(LoadError) {
    let peer = peers + index
    peer.pointee.isInMessage = false
    let slot = Int(peer.pointee.receiving)
    window.latency.record(now &- sentAt[index * depth + slot])
    window.messages &+= 1
    window.payloadBytes &+= UInt64(peer.pointee.messageCount)
    answers &+= 1
    if !terms.isCompressed {
      guard peer.pointee.messageCount == size else {
        throw LoadError("an answer has \(peer.pointee.messageCount) bytes, not \(size)")
      }
      if peer.pointee.isChecked { window.verified &+= 1 }
    } else if peer.pointee.isChecked {
      try checkCompressed(index, slot)
    }
    peer.pointee.isChecked = false
    peer.pointee.receiving = Int32(truncatingIfNeeded: slot + 1 < depth ? slot + 1 : 0)
  }

  private mutating func checkCompressed(_ index: Int, _ slot: Int) throws(LoadError) {
    let peer = peers + index
    let message = Array(UnsafeBufferPointer(start: peer.pointee.collected, count: peer.pointee.collectedCount))
    let inflater = terms.serverKeepsContext ? inflaters[index] : inflaters[0]
    guard let inflater, message == payloads[slot] || inflater.check(message, is: payloads[slot]) else {
      throw LoadError("an answer, decompressed, differs from what was sent")
    }
    window.verified &+= 1
  }

  private mutating func answerControl(_ index: Int) throws(LoadError) {
    let peer = peers + index
    peer.pointee.isControl = false
    let opcode = peer.pointee.opcode
    guard opcode != 8 else { throw LoadError("the server sent a close frame on connection \(index)") }
    let payload = controls.removeValue(forKey: index) ?? []
    // A pong may be left out (RFC 6455 §5.5.3 lets the most recent count); it must not land inside a frame.
    guard opcode == 9, peer.pointee.unsentStart == peer.pointee.unsentEnd else { return }
    let pong = MaskedFrames.frame(opcode: 10, payload, key: 0)
    guard Glibc.write(peer.pointee.descriptor, pong, pong.count) == pong.count else { throw .system("write a pong") }
  }
}
