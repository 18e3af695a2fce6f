import Cryptography
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// The page as the program carries it.
@Suite(.timeLimit(.minutes(2))) struct DashboardPageTests {
  /// Where the page's parts lie.
  private static let folder =
    "/" + "\(#filePath)".split(separator: "/").dropLast(3).joined(separator: "/")
    + "/Sources/Coordination/Dashboard/Page"

  @Test func `each part of the page is in it, and none ends another early`() throws {
    let page = Dashboard.page
    let parts = FileTree.entries(of: Self.folder).filter { !$0.hasSuffix(".html") }
    #expect(parts.count > 2)
    for part in parts {
      let text = String(decoding: TestProcess.contents(of: "\(Self.folder)/\(part)"), as: UTF8.self)
      // A name of its own, or a failure would print all of the page.
      let isThere = !text.isEmpty && page.contains(text)
      #expect(isThere, "\(part) is not in the page; name it in Dashboard.swift")
    }
    #expect(page.hasPrefix("<!doctype html>") && page.hasSuffix("</html>\n"))
    for mark in ["/*STYLE*/", "/*SCRIPT*/", "<!--"] { #expect(!page.contains(mark), "\(mark)") }
    for mark in ["<style>", "</style>", "<script>", "</script>"] {
      #expect(page.split(separator: mark, omittingEmptySubsequences: false).count == 2, "\(mark)")
    }
  }

  @Test func `the page is one piece that needs nothing from elsewhere`() {
    let page = Dashboard.page
    #expect(page.utf8.count < 200_000)
    // The namespace of SVG is a name, not an address.
    let addresses = page.split(separator: "http").dropFirst().filter { $0.hasPrefix("://") || $0.hasPrefix("s://") }
    #expect(addresses.allSatisfy { $0.hasPrefix("://www.w3.org/2000/svg'") }, "\(addresses.map { $0.prefix(40) })")
    for word in ["@import", "url(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
      #expect(!page.contains(word), "\(word)")
    }
  }

  @Test func `the coordinator serves the page, with headers that let nothing else run in it`() throws {
    let fleet = try DashboardFleet()
    func get(_ path: String) throws -> (head: String, body: [UInt8]) {
      let socket = try BlockingSocket(to: fleet.address)
      try socket.send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(fleet.port)\r\nConnection: close\r\n\r\n")
      let bytes = try socket.receiveToEnd()
      let end = try #require(bytes.firstRange(of: Array("\r\n\r\n".utf8)))
      return (String(decoding: bytes[..<end.lowerBound], as: UTF8.self), Array(bytes[end.upperBound...]))
    }
    let (head, body) = try get("/dashboard")
    #expect(head.hasPrefix("HTTP/1.1 200 "))
    let lines = head.split(separator: "\r\n")
    for line in [
      "Content-Type: text/html; charset=utf-8", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
      "X-Frame-Options: DENY",
    ] {
      #expect(lines.contains { $0.lowercased() == line.lowercased() }, "\(line) is not in \(head)")
    }
    let policy = try #require(lines.first { $0.hasPrefix("Content-Security-Policy: ") })
    for part in [
      "default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ] {
      #expect(policy.contains(part), "\(part) is not in \(policy)")
    }
    #expect(!policy.contains("unsafe"))
    // The hashes are those of what stands in the page that was sent.
    let page = String(decoding: body, as: UTF8.self)
    for name in ["style", "script"] {
      let begin = try #require(page.firstRange(of: "<\(name)>"))
      let end = try #require(page[begin.upperBound...].firstRange(of: "</\(name)>"))
      let text = String(page[begin.upperBound..<end.lowerBound])
      #expect(policy.contains("\(name)-src 'sha256-\(Base64.encode(SHA256.digest(of: text).bytes))'"))
      // Another element of the kind would be refused.
      #expect(page[end.upperBound...].firstRange(of: "<\(name)>") == nil)
    }
    let (redirection, _) = try get("/")
    #expect(redirection.hasPrefix("HTTP/1.1 302 ") && redirection.contains("Location: dashboard"))
  }
}
