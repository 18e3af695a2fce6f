import Glibc
import Reactor
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
struct DescriptorWatcherTests {
  private func socketPair() -> (Int32, Int32) {
    var pair: [Int32] = [0, 0]
    precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    return (pair[0], pair[1])
  }

  @Test func `a descriptor is told readable once there is something to read`() throws {
    let (mine, other) = socketPair()
    var bytes: [UInt8] = []
    try withLoop { loop in
      var watcher: DescriptorWatcher?
      watcher = DescriptorWatcher(descriptor: mine, on: loop) { readiness in
        #expect(readiness == .readable)
        var byte: UInt8 = 0
        #expect(read(mine, &byte, 1) == 1)
        bytes.append(byte)
        if bytes.count == 2 {
          watcher?.cancel()
          loop.stop()
        }
      }
      watcher?.watch(reading: true, writing: false)
      loop.schedule(after: .milliseconds(1)) { _ = write(other, [7, 8] as [UInt8], 2) }
    }
    #expect(bytes == [7, 8])
    close(mine)
    close(other)
  }

  @Test func `only what is watched for is told, and nothing once it is not`() throws {
    let (mine, other) = socketPair()
    var told: [DescriptorWatcher.Readiness] = []
    try withLoop { loop in
      var watcher: DescriptorWatcher?
      watcher = DescriptorWatcher(descriptor: mine, on: loop) { readiness in
        told.append(readiness)
        switch told.count {
        case 3:
          watcher?.watch(reading: false, writing: false)
          // Both are the case now; some turns go by in which nobody wants to know.
          loop.schedule(after: .milliseconds(2)) {
            #expect(told == [.writable, .writable, .writable])
            watcher?.watch(reading: true, writing: false)
          }
        case 5:
          watcher?.cancel()
          watcher?.cancel()
          watcher?.watch(reading: true, writing: true)
          loop.schedule(after: .milliseconds(2)) { loop.stop() }
        default: break
        }
      }
      _ = write(other, [1] as [UInt8], 1)
      watcher?.watch(reading: false, writing: true)
    }
    #expect(told == [.writable, .writable, .writable, .readable, .readable])
    close(mine)
    close(other)
  }

  @Test func `a watcher ends with its loop`() throws {
    let (mine, other) = socketPair()
    final class Marker {}
    weak var marker: Marker?
    try withLoop { loop in
      let kept = Marker()
      marker = kept
      DescriptorWatcher(descriptor: mine, on: loop) { _ in _ = kept }.watch(reading: true, writing: false)
      loop.schedule(after: .milliseconds(1)) { loop.stop() }
    }
    #expect(marker == nil)
    close(mine)
    close(other)
  }
}
