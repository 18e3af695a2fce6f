import Testing

@testable import Reactor

@Suite struct FirstRecordTests {
  /// A handshake record of 300 bytes, and the beginning of what follows.
  private static let hello: [UInt8] = [22, 3, 1, 1, 0x2C] + [UInt8](repeating: 7, count: 300) + [23, 3]

  @Test(arguments: [1, 2, 4, 5, 6, 100, 304, 305, 307])
  func `a record is handed over when it is whole, in whatever pieces it comes`(size: Int) {
    var record = FirstRecord()
    var taken = 0
    while taken < Self.hello.count {
      let part = Self.hello[taken..<min(taken + size, Self.hello.count)]
      taken += part.count
      guard taken >= 305 else {
        #expect(record.take(part) == .needsMore)
        continue
      }
      #expect(record.take(part) == .whole(Array(Self.hello[..<taken])))
      return
    }
  }

  @Test func `what is no handshake is for OpenSSL to judge at once`() {
    var record = FirstRecord()
    #expect(record.take(Array("G".utf8)) == .whole(Array("G".utf8)))
  }

  @Test func `a record longer than any client needs is refused by its header`() {
    var record = FirstRecord()
    #expect(record.take([22, 3, 1, 0x20, 0]) == .needsMore)
    var longer = FirstRecord()
    #expect(longer.take([22, 3, 1, 0x20]) == .needsMore)
    #expect(longer.take([1]) == .tooLong(bytes: 8_193))
  }

  @Test func `nothing is not enough`() {
    var record = FirstRecord()
    #expect(record.take([]) == .needsMore)
  }
}
