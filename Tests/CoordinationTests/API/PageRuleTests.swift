import Testing

@testable import Coordination

@Suite struct PageRuleTests {
  private let rule = PageRule(listeningHost: "Build.example")

  @Test(arguments: [
    ("http://localhost:8765", "localhost:8765"), ("http://LOCALHOST:8765", "localhost:8765"),
    ("http://127.0.0.1:8765", "127.0.0.1:8765"), ("http://[::1]:8765", "[::1]:8765"),
    ("https://build.example", "build.example"), ("https://build.example", "build.example:443"),
    ("http://build.example:80", "build.example"), ("https://build.example:443", "build.example"),
    // Before a proxy that ends TLS.
    ("https://build.example:8443", "build.example:8443"),
  ]) func `a page of the coordinator's own may ask`(origin: String, host: String) {
    #expect(rule.problem(origin: origin, host: host, needsOwnName: false) == nil)
  }

  @Test(arguments: [
    ("http://evil.example", "localhost:8765"), ("null", "localhost:8765"), ("", "localhost:8765"),
    ("http://localhost", "localhost:8765"), ("http://localhost:8766", "localhost:8765"),
    ("http://127.0.0.1:8765", "localhost:8765"), ("http://localhost:8765.evil.example", "localhost:8765"),
    ("http://localhost:8765@evil.example", "localhost:8765"), ("http://user@localhost:8765", "localhost:8765"),
    ("file://localhost:8765", "localhost:8765"), ("http://localhost:8765/", "localhost:8765"),
    ("http://localhost:", "localhost:"), ("http://", ""), ("http://[::1]x:8765", "[::1]x:8765"),
  ]) func `a page of any other site may not`(origin: String, host: String) {
    #expect(rule.problem(origin: origin, host: host, needsOwnName: false) == .foreignOrigin)
  }

  @Test(arguments: [
    "localhost", "localhost:8765", "LocalHost:1", "127.0.0.1:8765", "10.1.2.3", "[::1]:8765", "[fe80::1]",
    "build.example",
    "BUILD.example:8765",
  ]) func `without keys the coordinator answers to its own names`(host: String) {
    #expect(rule.problem(origin: nil, host: host, needsOwnName: true) == nil)
  }

  @Test(arguments: [
    "evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:", "", ":8765",
    "localhost:80:80", "::1", "other.build.example",
  ]) func `and to no others, whoever may have made them resolve to it`(host: String) {
    #expect(rule.problem(origin: nil, host: host, needsOwnName: true) == .unknownHost)
    // Its page says that it comes from there, which is true.
    let origin = "http://\(host)"
    #expect(rule.problem(origin: origin, host: host, needsOwnName: true) != nil)
  }

  @Test func `with keys any name will do`() {
    #expect(rule.problem(origin: nil, host: "anything.example", needsOwnName: false) == nil)
  }
}
