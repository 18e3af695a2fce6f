/// Bytes waiting to be written: one contiguous region, so that a turn's output leaves in one call.
///
///     storage: | written | pending      | free |
///              0         start          end    capacity
@safe
struct OutputBuffer: ~Copyable {
  private var storage: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0

  init(byteCount: Int) {
    // SAFETY: freed in deinit; noncopyable, so exactly once.
    unsafe storage = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
  }

  deinit { unsafe storage.deallocate() }

  var count: Int { end - start }
  var capacity: Int { unsafe storage.count }

  /// The pending bytes; valid until the next change.
  var pending: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: storage[start..<end]) }

  mutating func append(_ bytes: RawSpan) {
    makeRoom(for: bytes.byteCount)
    copy(bytes)
  }

  mutating func append(_ head: RawSpan, _ body: RawSpan) {
    makeRoom(for: head.byteCount + body.byteCount)
    copy(head)
    copy(body)
  }

  @inline(__always)
  private mutating func copy(_ bytes: RawSpan) {
    let count = bytes.byteCount
    // SAFETY: makeRoom left at least `count` bytes after `end`; source and target are distinct allocations.
    unsafe bytes.withUnsafeBytes { source in
      guard let source = source.baseAddress else { return }
      unsafe (storage.baseAddress.unsafelyUnwrapped + end).copyMemory(from: source, byteCount: count)
    }
    end += count
  }

  mutating func consume(_ count: Int) {
    start += count
    precondition(start <= end, "more bytes consumed than were pending")
    if start == end {
      start = 0
      end = 0
    }
  }

  @inline(__always)
  private mutating func makeRoom(for extra: Int) {
    if end + extra > capacity { moveOrGrow(by: extra) }
  }

  private mutating func moveOrGrow(by extra: Int) {
    let pendingCount = count
    let needed = pendingCount + extra
    // Moving costs the pending bytes; worth it only while at least half of the region is already written.
    if needed <= capacity, pendingCount <= capacity / 2 {
      // SAFETY: both regions lie inside storage; copyMemory allows overlap.
      unsafe storage.copyMemory(from: pending)
    } else {
      let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(needed, capacity * 2), alignment: 16)
      unsafe larger.copyMemory(from: pending)
      unsafe storage.deallocate()
      unsafe storage = larger
    }
    start = 0
    end = pendingCount
  }
}

/// Empty buffers of one loop, lent to connections while they have something to send: an idle connection holds none.
@safe
struct OutputPool: ~Copyable {
  private var spare: ContiguousArray<Lease> = []

  private static let maxSpareBuffers = 64
  private static let bufferBytes = 16 * 1024
  /// A buffer that grew further for one large message is freed rather than kept.
  private static let maxSpareBytes = 256 * 1024

  /// A buffer on loan. Whoever has it gives it back or discards it, once: counting references to it would take longer
  /// than copying a short message.
  @safe struct Lease {
    fileprivate let buffer: UnsafeMutablePointer<OutputBuffer>

    fileprivate init(byteCount: Int) {
      unsafe buffer = UnsafeMutablePointer<OutputBuffer>.allocate(capacity: 1)
      unsafe buffer.initialize(to: OutputBuffer(byteCount: byteCount))
    }

    // SAFETY: the buffer lives until `discard`, after which its one holder uses it no more; one thread comes here.

    var count: Int { unsafe buffer.pointee.count }
    /// Valid until the next change.
    var pending: UnsafeRawBufferPointer { unsafe buffer.pointee.pending }
    fileprivate var capacity: Int { unsafe buffer.pointee.capacity }

    @inline(__always)
    func append(_ head: RawSpan, _ body: RawSpan) { unsafe buffer.pointee.append(head, body) }

    @inline(__always)
    func consume(_ count: Int) { unsafe buffer.pointee.consume(count) }

    func discard() {
      unsafe buffer.deinitialize(count: 1)
      unsafe buffer.deallocate()
    }
  }

  deinit {
    for lease in spare { lease.discard() }
  }

  mutating func lend() -> Lease { spare.popLast() ?? Lease(byteCount: Self.bufferBytes) }

  mutating func takeBack(_ lease: Lease) {
    precondition(lease.count == 0, "a buffer with pending bytes was given back")
    guard spare.count < Self.maxSpareBuffers, lease.capacity <= Self.maxSpareBytes else { return lease.discard() }
    spare.append(lease)
  }
}
