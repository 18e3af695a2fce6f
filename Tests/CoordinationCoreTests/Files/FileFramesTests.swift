import Authentication
import CoordinationCore
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct FileFramesTests {
  private static let secret = ChannelSecret(
    proofKey: [UInt8](repeating: 7, count: 32), client: "client", server: "server")

  private func pair(_ isSigned: Bool) -> (worker: FileFrames, coordinator: FileFrames) {
    let secret = isSigned ? Self.secret : nil
    return (FileFrames(secret, .worker), FileFrames(secret, .coordinator))
  }

  @Test(arguments: [true, false], [0, 1, 255, 65_536])
  func `a piece arrives as it was sent, with the words about it`(isSigned: Bool, count: Int) throws {
    let (worker, coordinator) = pair(isSigned)
    for number in 0..<3 as Range<Int64> {
      let frame = FileFrames.Frame(
        ["type": "put_file", "offset": .integer(number)], (0..<count).map { UInt8(truncatingIfNeeded: $0) })
      #expect(try coordinator.open(worker.seal(frame)) == frame)
      #expect(try worker.open(coordinator.seal(frame)) == frame)
    }
  }

  @Test(arguments: [true, false])
  func `one bit that changed anywhere on the way is found`(isSigned: Bool) throws {
    let bytes = pair(isSigned).worker.seal(FileFrames.Frame(["type": "put_file"], [1, 2, 3, 4]))
    for bit in 0..<bytes.count * 8 {
      var changed = bytes
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: MessageError.self) { try pair(isSigned).coordinator.open(changed) }
    }
    for count in 0..<bytes.count {
      #expect(throws: MessageError.self) { try pair(isSigned).coordinator.open(Array(bytes.prefix(count))) }
    }
  }

  @Test func `a signed message cannot be repeated, left out or turned round`() throws {
    let (worker, coordinator) = pair(true)
    let first = worker.seal(FileFrames.Frame(["type": "a"]))
    let second = worker.seal(FileFrames.Frame(["type": "b"]))
    #expect(throws: MessageError.badCode) { try worker.open(first) }
    #expect(throws: MessageError.badCode) { try FileFrames(Self.secret, .coordinator).open(second) }
    _ = try coordinator.open(first)
    #expect(throws: MessageError.badCode) { try coordinator.open(first) }
  }

  @Test func `words longer than the message are refused, whatever the checksum says`() {
    // A length of 4 GiB, and a checksum that fits.
    let words: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
    let sum: UInt32 = 0xFFFF_FFFF
    let bytes = words + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> $0) }
    #expect(throws: MessageError.self) { try FileFrames(nil, .coordinator).open(bytes) }
  }
}
