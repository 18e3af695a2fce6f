import Reactor
import Testing

@testable import Coordination

@Suite struct UpgradeGuardTests {
  @Test(
    arguments: [
      ("10.0.0.1", "10.0.0.1", true), ("10.0.0.1", "10.0.0.2", false), ("10.0.0.1", "::ffff:10.0.0.1", true),
      ("2001:db8::1", "2001:db8::2", true), ("2001:db8::1:2:3:4", "2001:db8::9:8:7:6", true),
      ("2001:db8:0:0:1:2:3:4", "2001:db8::", true), ("2001:db8::1", "2001:db8:0:1::1", false),
      ("::1", "127.0.0.1", false),
    ])
  func `failed tries are counted by IPv4 address and by IPv6 network`(one: String, other: String, isSame: Bool) throws {
    let addresses = [
      try #require(SocketAddress(ip: one, port: 1)), try #require(SocketAddress(ip: other, port: 2)),
    ]
    let networks = addresses.map(UpgradeGuard.network)
    #expect((networks[0] == networks[1]) == isSame, "\(networks)")
  }
}
