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
struct OutputPool: ~Copyable {
  private var spare: [Box] = []

  private static let maxSpareBuffers = 64
  private static let bufferBytes = 16 * 1024
  /// A buffer that grew further for one large message is freed rather than kept.
  private static let maxSpareBytes = 256 * 1024

  final class Box {
    @exclusivity(unchecked) private var uncheckedBuffer: OutputBuffer

    init(byteCount: Int) { unsafe uncheckedBuffer = OutputBuffer(byteCount: byteCount) }

    var buffer: OutputBuffer {
      // SAFETY: one connection has the box, on one thread, and no call of the buffer calls back. Checking that at run
      // time would cost more than copying a short message.
      @inline(__always) _read { yield unsafe uncheckedBuffer }
      @inline(__always) _modify { yield unsafe &uncheckedBuffer }
    }
  }

  mutating func lend() -> Box { spare.popLast() ?? Box(byteCount: Self.bufferBytes) }

  mutating func takeBack(_ box: Box) {
    precondition(box.buffer.count == 0, "a buffer with pending bytes was given back")
    if spare.count < Self.maxSpareBuffers, box.buffer.capacity <= Self.maxSpareBytes { spare.append(box) }
  }
}
