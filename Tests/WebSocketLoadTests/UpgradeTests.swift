import Testing
import WebSocket

@testable import WebSocketLoad

@Suite struct UpgradeTests {
  private func terms(_ extensions: String?, offered: String? = Upgrade.offer) throws -> Upgrade.Terms {
    let target = try #require(LoadTarget(try WebSocketURL("ws://127.0.0.1:9001")))
    return try Upgrade(target, extensions: offered).terms(
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nSEC-WEBSOCKET-ACCEPT: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        + (extensions.map { "Sec-WebSocket-Extensions: \($0)\r\n" } ?? "") + "\r\n")
  }

  @Test func `without an offer nothing is compressed`() throws {
    #expect(try terms(nil, offered: nil) == Upgrade.Terms())
  }

  @Test(
    arguments: [
      ("permessage-deflate", true, 15), ("permessage-deflate; server_no_context_takeover", false, 15),
      ("permessage-deflate; client_max_window_bits=12; server_no_context_takeover", false, 12),
      ("permessage-deflate;client_max_window_bits=\"9\"", true, 9),
      ("permessage-deflate; server_max_window_bits=10", true, 15),
    ] as [(String, Bool, Int32)])
  func `the server's answer says who keeps a context and how large the window is`(
    extensions: String, serverKeepsContext: Bool, clientWindowBits: Int32
  ) throws {
    #expect(
      try terms(extensions)
        == Upgrade.Terms(
          isCompressed: true, serverKeepsContext: serverKeepsContext, clientWindowBits: clientWindowBits))
  }

  @Test(
    arguments: [
      (nil, Upgrade.offer), ("permessage-deflate", nil), ("x-webkit-deflate-frame", Upgrade.offer),
      ("permessage-deflate; client_max_window_bits=8", Upgrade.offer),
      ("permessage-deflate; client_max_window_bits=99", Upgrade.offer),
    ] as [(String?, String?)])
  func `an answer that cannot be kept to ends the run`(extensions: String?, offered: String?) {
    #expect(throws: LoadError.self) { try terms(extensions, offered: offered) }
  }

  @Test(arguments: [
    "HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
  ])
  func `an answer that is no upgrade ends the run`(head: String) throws {
    let target = try #require(LoadTarget(try WebSocketURL("ws://127.0.0.1:9001")))
    #expect(throws: LoadError.self) { try Upgrade(target, extensions: nil).terms(head) }
  }

  @Test(
    arguments: [
      (0.99, 0.99, Bottleneck.server), (0.99, 0.2, .server), (0.5, 0.99, .generator), (0.5, 0.5, .neither),
      (nil, 0.99, .generator), (nil, 0.5, .unknown),
    ] as [(Double?, Double, Bottleneck)])
  func `the bottleneck is the side that is busy all the time, the server first`(
    serverBusy: Double?, generatorBusy: Double, bottleneck: Bottleneck
  ) {
    #expect(Bottleneck(serverBusy: serverBusy, generatorBusy: generatorBusy) == bottleneck)
  }
}
