import CEpoll
import Glibc
import WebSocket

/// The opening handshake, the same for every connection: with one nonce, its answer is known beforehand.
struct Upgrade {
  /// What the server answered about compression.
  struct Terms: Equatable {
    var isCompressed = false
    var serverKeepsContext = false
    /// 9...15: the window that the server has for what it receives.
    var clientWindowBits: Int32 = 15
  }

  static let offer =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"

  /// Contexts on both sides, so that each connection has its own, and windows of at most 12 bits.
  static let dedicatedOffer = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"

  private static let headLimit = 16 * 1024

  let target: LoadTarget
  private let request: [UInt8]
  private let offersCompression: Bool

  /// - Parameter extensions: what `Sec-WebSocket-Extensions` says, if anything.
  init(_ target: LoadTarget, extensions: String?) {
    self.target = target
    offersCompression = extensions != nil
    // The nonce is the one of RFC 6455 §1.3, and so is the answer: a generator measures, it has nothing to protect.
    let lines =
      [
        "GET \(target.url.target) HTTP/1.1", "Host: \(target.url.hostField)", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
      ] + (extensions.map { ["Sec-WebSocket-Extensions: \($0)"] } ?? []) + ["", ""]
    request = Array(lines.joined(separator: "\r\n").utf8)
  }

  /// Opens `count` connections, up to 64 at a time; non-blocking sockets, in the order in which they were begun, and
  /// the terms they all have. Fails if any of them fails, and then closes them all.
  func open(_ count: Int) throws(LoadError) -> (descriptors: [Int32], terms: Terms) {
    var descriptors: [Int32] = []
    var terms: Terms?
    do throws(LoadError) {
      descriptors.reserveCapacity(count)
      try open(count, &descriptors, &terms)
    } catch {
      for descriptor in descriptors { close(descriptor) }
      throw LoadError("connection \(descriptors.count) of \(count): \(error)")
    }
    return (descriptors, terms ?? Terms())
  }

  private func open(_ count: Int, _ descriptors: inout [Int32], _ terms: inout Terms?) throws(LoadError) {
    let poller = lifeline_epoll_create()
    guard poller >= 0 else { throw .system("epoll_create1") }
    defer { close(poller) }
    var heads: [UInt32: [UInt8]] = [:]
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    var chunk = [UInt8](repeating: 0, count: Self.headLimit)
    while descriptors.count < count || !heads.isEmpty {
      while descriptors.count < count, heads.count < 64 {
        let descriptor = try target.connect()
        let index = UInt32(descriptors.count)
        descriptors.append(descriptor)
        guard write(descriptor, request, request.count) == request.count else { throw .system("write the request") }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        guard lifeline_epoll_control(poller, lifeline_epoll_add, descriptor, lifeline_epoll_in, index) == 0 else {
          throw .system("epoll_ctl")
        }
        heads[index] = []
      }
      let ready = epoll_wait(poller, &events, Int32(events.count), 10_000)
      guard ready != 0 else { throw LoadError("the server did not answer the opening handshake within 10 s") }
      for at in 0..<max(0, ready) {
        let index = lifeline_epoll_index(events, at)
        let descriptor = descriptors[Int(index)]
        let received = read(descriptor, &chunk, chunk.count)
        if received < 0, errno == EAGAIN { continue }
        guard received > 0, var head = heads[index] else {
          throw LoadError("the server closed the connection during the opening handshake")
        }
        head += chunk[..<received]
        guard head.suffix(4).elementsEqual("\r\n\r\n".utf8) else {
          guard head.count < Self.headLimit else { throw LoadError("the server's answer does not end after 16 KiB") }
          heads[index] = head
          continue
        }
        let answer = try self.terms(String(decoding: head, as: UTF8.self))
        guard terms == nil || terms == answer else {
          throw LoadError("the server agreed to other extensions than on the connections before")
        }
        terms = answer
        heads[index] = nil
        _ = lifeline_epoll_control(poller, lifeline_epoll_delete, descriptor, 0, 0)
      }
    }
  }

  /// Checks an answer's head.
  func terms(_ head: String) throws(LoadError) -> Terms {
    // A line break is one Character, so that a split by it leaves no remains.
    let lines = head.split(separator: "\r\n")
    guard let status = lines.first, status.hasPrefix("HTTP/1.1 101") else {
      throw LoadError("the server answered \"\(lines.first ?? "")\" to the opening handshake")
    }
    var terms = Terms()
    var isAccepted = false
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      switch line[..<colon].lowercased() {
      case "sec-websocket-accept": isAccepted = value == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
      case "sec-websocket-extensions": terms = try compression(value)
      default: break
      }
    }
    guard isAccepted else { throw LoadError("the server's Sec-WebSocket-Accept is missing or wrong") }
    guard terms.isCompressed || !offersCompression else { throw LoadError("the server declined permessage-deflate") }
    return terms
  }

  private func compression(_ value: Substring) throws(LoadError) -> Terms {
    var terms = Terms(isCompressed: true, serverKeepsContext: true)
    let parts = value.split(separator: ";").map { $0.split(separator: " ").joined() }
    guard offersCompression, parts.first == "permessage-deflate" else {
      throw LoadError("the server answered with an extension that was not offered: \(value)")
    }
    for part in parts.dropFirst() {
      let pair = part.split(separator: "=")
      switch pair.first {
      case "server_no_context_takeover": terms.serverKeepsContext = false
      case "client_max_window_bits":
        // zlib cannot compress with a window of 8 bits.
        guard pair.count == 2, let bits = Int32(pair[1].filter { $0 != "\"" }), (9...15).contains(bits) else {
          throw LoadError("cannot keep to the server's \(part)")
        }
        terms.clientWindowBits = bits
      default: break
      }
    }
    return terms
  }
}
