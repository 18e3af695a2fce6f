import Testing
import WebSocket

@Suite struct WebSocketURLTests {
  @Test(
    arguments: [
      ("ws://a", "a", 80, "/", "a", "ws://a/"),
      ("WS://a:80/", "a", 80, "/", "a", "ws://a/"),
      (
        "ws://a.b-c_d:8765/api/v1?x=y&z", "a.b-c_d", 8765, "/api/v1?x=y&z", "a.b-c_d:8765",
        "ws://a.b-c_d:8765/api/v1?x=y&z"
      ),
      ("ws://a?q", "a", 80, "/?q", "a", "ws://a/?q"),
      ("ws://127.0.0.1:1/x", "127.0.0.1", 1, "/x", "127.0.0.1:1", "ws://127.0.0.1:1/x"),
      ("ws://[::1]:65535/x", "::1", 65_535, "/x", "[::1]:65535", "ws://[::1]:65535/x"),
      ("wss://a", "a", 443, "/", "a", "wss://a/"), ("WSS://a:80/x", "a", 80, "/x", "a:80", "wss://a:80/x"),
      ("ws://a:443", "a", 443, "/", "a:443", "ws://a:443/"),
      ("ws://[fe80::1.2.3.4]", "fe80::1.2.3.4", 80, "/", "[fe80::1.2.3.4]", "ws://[fe80::1.2.3.4]/"),
    ] as [(String, String, UInt16, String, String, String)])
  func `a URL is read and written`(
    text: String, host: String, port: UInt16, target: String, field: String, description: String
  ) throws {
    let url = try WebSocketURL(text)
    #expect(url.host == host)
    #expect(url.port == port)
    #expect(url.isSecure == description.hasPrefix("wss"))
    #expect(url.target == target)
    #expect(url.hostField == field)
    #expect(url.description == description)
    #expect(try WebSocketURL(description) == url)
  }

  @Test(
    arguments: [
      ("http://a", .scheme("http")), ("a:80", .scheme("")), ("", .scheme("")),
      ("ws:/a", .scheme("")),
      ("ws://", .host("")), ("ws://:80", .host("")), ("ws://u:p@a", .userInformation), ("ws://a:0", .port("0")),
      ("ws://a:65536", .port("65536")), ("ws://a:", .port("")), ("ws://a:+1", .port("+1")), ("ws://a:8x", .port("8x")),
      ("ws://[::1", .host("[::1")), ("ws://[]", .host("[]")), ("ws://[::1]x", .port("")), ("ws://a,b", .host("a,b")),
      ("ws://a/#f", .fragment), ("ws://a/ b", .characters), ("ws://é/", .characters), ("ws://a/\r\nX: y", .characters),
    ] as [(String, WebSocketURL.ParseError)])
  func `what is no WebSocket URL is refused with a reason`(text: String, error: WebSocketURL.ParseError) {
    #expect(throws: error) { try WebSocketURL(text) }
    #expect(!error.description.isEmpty)
  }
}
