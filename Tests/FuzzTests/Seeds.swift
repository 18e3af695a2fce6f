import WebSocketCore

/// Where the fuzzer starts: one input for each thing worth reaching. Committed as `Tests/Corpus/TARGET/seed-NAME`.
enum Seeds {
  static func of(_ target: FuzzTarget) -> [String: [UInt8]] {
    switch target {
    case .frames: frames
    case .request: requests
    case .response: responses
    case .deflate: deflate
    case .connection: connections
    case .toml: files
    }
  }

  // MARK: Frames

  /// A frame, masked if a client sends it.
  private static func frame(_ first: UInt8, _ payload: [UInt8] = [], from role: Role) -> [UInt8] {
    let mask: UInt8 = role == .client ? 0x80 : 0
    var bytes = [first]
    switch payload.count {
    case ..<126: bytes.append(mask | UInt8(payload.count))
    case ..<65_536: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default: bytes += [mask | 127] + (0..<8).map { UInt8(payload.count >> (56 - 8 * $0) & 0xFF) }
    }
    guard role == .client else { return bytes + payload }
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
  }

  private static let long = [UInt8](repeating: 0x61, count: 300)

  /// What a peer may send, by name.
  private static func exchanges(from role: Role) -> [String: [UInt8]] {
    func frame(_ first: UInt8, _ payload: [UInt8] = []) -> [UInt8] { Self.frame(first, payload, from: role) }
    let text = Array("κόσμε 🙂".utf8)
    return [
      "text": frame(0x81, text), "binary": frame(0x82, [0, 255]), "empty": frame(0x81) + frame(0x82),
      "lengths": frame(0x82, [UInt8](repeating: 1, count: 125)) + frame(0x82, [UInt8](repeating: 2, count: 126)),
      "long": frame(0x82, long),
      "fragments": frame(0x01, Array(text.prefix(3))) + frame(0x89, [1]) + frame(0x00, Array(text[3..<4]))
        + frame(0x80, Array(text[4...])),
      "empty-fragments": frame(0x02) + frame(0x00) + frame(0x80),
      "pings": frame(0x89) + frame(0x89, [1, 2]) + frame(0x8A, [3]) + frame(0x89, [UInt8](repeating: 7, count: 125)),
      "close": frame(0x88, [0x03, 0xE8] + Array("bye".utf8)), "close-empty": frame(0x88),
      "close-then-data": frame(0x88, [0x0F, 0xA0]) + frame(0x81, text), "close-one-byte": frame(0x88, [3]),
      "close-1005": frame(0x88, [0x03, 0xED]), "close-not-utf8": frame(0x88, [0x03, 0xE8, 0xFF]),
      "reserved-bit": frame(0xC1, text), "reserved-opcode": frame(0x83), "reserved-control": frame(0x8B),
      "fragmented-ping": frame(0x09), "lone-continuation": frame(0x80), "interrupted": frame(0x01) + frame(0x82),
      "not-utf8": frame(0x81, [0x61, 0xFF]), "cut-character": frame(0x81, [0xE2, 0x82]),
      "surrogate": frame(0x01, [0xED]) + frame(0x80, [0xA0, 0x80]),
      "wrong-mask": Self.frame(0x81, text, from: role == .client ? .server : .client),
      "long-ping": [0x89, role == .client ? 0xFE : 0x7E, 0, 126],
      "not-minimal": [0x82, role == .client ? 0xFE : 0x7E, 0, 5, 1, 2, 3, 4],
      "top-bit": [0x82, role == .client ? 0xFF : 0x7F, 0x80] + [UInt8](repeating: 0, count: 11),
      "longest": [0x82, role == .client ? 0xFF : 0x7F, 0x7F] + [UInt8](repeating: 0xFF, count: 11),
    ]
  }

  private static let frames: [String: [UInt8]] = {
    var seeds: [String: [UInt8]] = [:]
    for (name, bytes) in exchanges(from: .client) { seeds["client-\(name)"] = FuzzInput.bytes(bytes) }
    for (name, bytes) in exchanges(from: .server) {
      seeds["server-\(name)"] = FuzzInput.bytes(flags: 1, sizes: [3, 1], bytes)
    }
    for (name, bytes) in compressedExchanges(from: .client) where bytes.count < 100 {
      seeds["client-compressed-\(name)"] = FuzzInput.bytes(flags: 4, bytes)
    }
    return seeds
  }()

  // MARK: Handshake

  private static func head(_ lines: String...) -> [UInt8] { Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) }

  private static let requests: [String: [UInt8]] = {
    let start = "GET /chat?a=b HTTP/1.1"
    let fields = """
      Host: server.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13
      """
    let plain = head(start, fields)
    return [
      "plain": FuzzInput.bytes(plain),
      "frames-behind": FuzzInput.bytes(sizes: [50, 9], plain + frame(0x81, Array("hi".utf8), from: .client)),
      "rejected": FuzzInput.bytes(flags: 1, plain), "tight": FuzzInput.bytes(flags: 2, sizes: [100], plain),
      "subprotocols": FuzzInput.bytes(head(start, fields, "Sec-WebSocket-Protocol: lifeline.v1, b")),
      "extensions": FuzzInput.bytes(
        head(start, fields, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x; a=\"b\"")),
      "origin": FuzzInput.bytes(head(start, fields, "Origin: http://example.com", "Cookie: a=b; c=d")),
      "absolute": FuzzInput.bytes(head("GET http://server.example.com/chat HTTP/1.1", fields)),
      "post": FuzzInput.bytes(head("POST /chat HTTP/1.1", fields)),
      "http-1.0": FuzzInput.bytes(head("GET /chat HTTP/1.0", fields)),
      "version-8": FuzzInput.bytes(
        head(start, "Host: a", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8")),
      "body": FuzzInput.bytes(head(start, fields, "Content-Length: 5") + Array("12345".utf8)),
      "folded": FuzzInput.bytes(head(start, fields, "X: a", " b")),
      "bare-lf": FuzzInput.bytes(Array("GET / HTTP/1.1\nHost: a\n\n".utf8)),
      "no-fields": FuzzInput.bytes(head(start)), "tls": FuzzInput.bytes([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x0A]),
      "many-fields": FuzzInput.bytes(
        flags: 2, head("GET / HTTP/1.1", (0..<12).map { "X\($0): a" }.joined(separator: "\r\n"))),
      "resource": FuzzInput.bytes(flags: 4, sizes: [30], head("GET /metrics?a=b HTTP/1.1", "Host: a", "Accept: */*")),
      "resource-head": FuzzInput.bytes(flags: 4, head("HEAD /metrics HTTP/1.1", "Host: a") + [1, 2, 3]),
      "resource-post": FuzzInput.bytes(flags: 4, head("POST /metrics HTTP/1.1", "Host: a")),
      "resource-upgrade": FuzzInput.bytes(flags: 4, plain),
      "resource-pipelined": FuzzInput.bytes(
        flags: 4, sizes: [40],
        head("GET /a HTTP/1.1", "Host: a") + head("HEAD /b HTTP/1.1", "Host: a") + head("PUT /c HTTP/1.1", "Host: a")
          + plain + frame(0x81, Array("hi".utf8), from: .client)),
      "resource-body": FuzzInput.bytes(
        flags: 4,
        head("POST /a HTTP/1.1", "Host: a", "Content-Length: 5", "Expect: 100-continue") + Array("12345".utf8)
          + head("DELETE /b HTTP/1.1", "Host: a", "Connection: close") + Array("ignored".utf8)),
      "resource-chunked": FuzzInput.bytes(
        flags: 6,
        head("PATCH /a HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")
          + Array("3\r\nabc\r\n1A;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-T: 1\r\n\r\n".utf8)
          + head("GET /b HTTP/1.1", "Host: a")),
      "resource-two-lengths": FuzzInput.bytes(
        flags: 4,
        head("POST / HTTP/1.1", "Host: a", "Content-Length: 3", "Transfer-Encoding: chunked") + Array("0\r\n\r\n".utf8)),
    ]
  }()

  private static let responses: [String: [UInt8]] = {
    let accepted = MachineDriver.response
    let text = String(decoding: accepted, as: UTF8.self)
    func replacing(_ old: String, _ new: String) -> [UInt8] {
      guard let range = text.firstRange(of: old) else { preconditionFailure("no \(old) in the response") }
      return Array(text.replacingCharacters(in: range, with: new).utf8)
    }
    let close = frame(0x88, [0x03, 0xE8], from: .server)
    return [
      "accepted": FuzzInput.bytes(accepted),
      "frames-behind": FuzzInput.bytes(
        sizes: [60, 1], accepted + frame(0x81, Array("hi".utf8), from: .server) + close),
      "no-subprotocol": FuzzInput.bytes(replacing("Sec-WebSocket-Protocol: lifeline.v1\r\n", "")),
      "other-subprotocol": FuzzInput.bytes(replacing("lifeline.v1", "c")),
      "wrong-accept": FuzzInput.bytes(replacing("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x")),
      "extension": FuzzInput.bytes(
        replacing("Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate")),
      "http-1.0": FuzzInput.bytes(replacing("HTTP/1.1", "HTTP/1.0")),
      "refused": FuzzInput.bytes(head("HTTP/1.1 503 Busy", "Retry-After: 7", "Content-Length: 4") + Array("busy".utf8)),
      "refused-without-length": FuzzInput.bytes(head("HTTP/1.1 404 Not Found") + Array("gone".utf8)),
      "moved": FuzzInput.bytes(head("HTTP/1.1 301 Moved", "Location: ws://elsewhere/")),
      "tight": FuzzInput.bytes(flags: 2, sizes: [20], accepted), "malformed": FuzzInput.bytes(head("HTTP/1.1 1010 x")),
    ]
  }()

  // MARK: Deflate

  /// The flags for a window of so many bits.
  private static func deflateFlags(_ what: UInt8, bits: UInt8 = 15, takeover: Bool = false, others: UInt8 = 0) -> UInt8
  {
    what | (bits - 8) << 2 | (takeover ? 0x20 : 0) | others
  }

  private static let deflate: [String: [UInt8]] = {
    let offers = [
      "bare": "permessage-deflate", "chrome": "permessage-deflate; client_max_window_bits",
      "all": """
      permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
      client_max_window_bits=12
      """,
      "fallback": "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits=\"9\"",
      "twice": "permessage-deflate; client_max_window_bits; client_max_window_bits=10", "other": "x-webkit; a=b",
      "bad-bits": "permessage-deflate; server_max_window_bits=16",
      "zero-bits": "permessage-deflate; server_max_window_bits=08",
    ]
    var seeds: [String: [UInt8]] = [:]
    for (name, offer) in offers {
      seeds["offer-\(name)"] = FuzzInput.bytes(flags: deflateFlags(0), Array(offer.utf8))
      seeds["offer-\(name)-shared"] = FuzzInput.bytes(flags: deflateFlags(0, bits: 10, others: 0x40), Array(offer.utf8))
    }
    // The examples of RFC 7692 §7.2.3, and what is none.
    let payloads: [String: [UInt8]] = [
      "hello": [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], "window": [0xF2, 0x00, 0x11, 0x00, 0x00],
      "stored": [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
      "final": [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
      "two-blocks": [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
      "empty": [0x00], "truncated": [0xF2, 0x48, 0xCD], "reserved-block": [0x07, 0x00],
      // 64 KiB of zeros and more: a dynamic block with the longest match again and again.
      "bomb": [0xEC, 0xC1, 0x01, 0x01, 0x00, 0x00, 0x00, 0x80, 0x90, 0xFE, 0xAF, 0xEE, 0x08, 0x0A]
        + [UInt8](repeating: 0, count: 60),
    ]
    for (name, payload) in payloads {
      seeds["inflate-\(name)"] = FuzzInput.bytes(flags: deflateFlags(1), sizes: [2], payload)
      seeds["inflate-\(name)-takeover"] = FuzzInput.bytes(flags: deflateFlags(1, bits: 9, takeover: true), payload)
    }
    let json = Array(
      #"{"type":"heartbeat","worker":"w1","tasks":[{"id":1,"progress":0.4},{"id":2,"progress":0.5}]}"#.utf8)
    seeds["round-trip"] = FuzzInput.bytes(flags: deflateFlags(2), sizes: [9, 4], json + json)
    seeds["round-trip-takeover"] = FuzzInput.bytes(
      flags: deflateFlags(2, bits: 9, takeover: true), sizes: [7], json + json)
    seeds["round-trip-pieces"] = FuzzInput.bytes(
      flags: deflateFlags(3, bits: 12, takeover: true, others: 0x80), sizes: [30, 1], json + json)
    seeds["round-trip-nothing"] = FuzzInput.bytes(flags: deflateFlags(2, others: 0x80), [])
    return seeds
  }()

  // MARK: Compressed messages

  /// A compressed message with codes that are given (RFC 1951 §3.2.6), so that the bytes are the same with every zlib.
  private struct FixedBlock {
    private(set) var bytes: [UInt8] = []
    private var bits = 0

    init(isFinal: Bool = false) {
      append(isFinal ? 0b011 : 0b010, count: 3)
    }

    private mutating func append(_ value: Int, count: Int) {
      for place in 0..<count {
        if bits % 8 == 0 { bytes.append(0) }
        bytes[bytes.count - 1] |= UInt8(value >> place & 1) << UInt8(bits % 8)
        bits += 1
      }
    }

    private mutating func append(code: Int, count: Int) {
      for place in (0..<count).reversed() { append(code >> place & 1, count: 1) }
    }

    mutating func append(_ literals: [UInt8]) {
      for literal in literals {
        if literal < 144 {
          append(code: 0x30 + Int(literal), count: 8)
        } else {
          append(code: 0x100 + Int(literal), count: 9)
        }
      }
    }

    /// 258 times the last byte, once more each.
    mutating func appendLongestMatches(_ times: Int) {
      for _ in 0..<times {
        append(code: 0xC5, count: 8)
        append(code: 0, count: 5)
      }
    }

    /// The whole block, and the first bits of the empty one that a flush ends with.
    mutating func end() -> [UInt8] {
      append(code: 0, count: 7)
      append(0, count: 3)
      return bytes
    }
  }

  private static func compressed(_ literals: [UInt8], matches: Int = 0, isFinal: Bool = false) -> [UInt8] {
    var block = FixedBlock(isFinal: isFinal)
    block.append(literals)
    block.appendLongestMatches(matches)
    return block.end()
  }

  /// What a peer may send where permessage-deflate was agreed on, by name.
  private static func compressedExchanges(from role: Role) -> [String: [UInt8]] {
    func frame(_ first: UInt8, _ payload: [UInt8] = []) -> [UInt8] { Self.frame(first, payload, from: role) }
    let text = compressed(Array("κόσμε 🙂".utf8))
    let hello = compressed(Array("Hello".utf8))
    let bad = compressed([0x61, 0xC3, 0x61, 0x61])
    let plain = frame(0x81, Array("plain".utf8))
    return [
      "text": frame(0xC1, text) + plain + frame(0xC1, text), "binary": frame(0xC2, compressed([0, 143, 144, 255])),
      "fragments": frame(0x41, Array(text.prefix(3))) + frame(0x89, [1]) + frame(0x00) + frame(0x80, Array(text[3...])),
      // RFC 7692 §7.2.3.2: the same again, by looking back.
      "window": frame(0xC1, hello) + frame(0xC1, [0xF2, 0x00, 0x11, 0x00, 0x00]),
      "window-alone": frame(0xC1, [0xF2, 0x00, 0x11, 0x00, 0x00]),
      "final": frame(0xC1, compressed(Array("Hello".utf8), isFinal: true)) + frame(0xC1, hello),
      "final-then-window": frame(0xC1, compressed(Array("Hello".utf8), isFinal: true) + [0])
        + frame(0xC1, [0xF2, 0x00, 0x11, 0x00, 0x00]),
      "stored": frame(0xC1, [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]),
      "two-blocks": frame(0xC1, hello + [0x00, 0x00, 0xFF, 0xFF] + hello), "empty": frame(0xC1, [0x00]) + frame(0xC2),
      "with-its-tail": frame(0xC1, hello + [0x00, 0x00, 0xFF, 0xFF]) + plain,
      "truncated": frame(0xC1, Array(hello.dropLast(2))), "reserved-block": frame(0xC2, [0x07, 0x00]),
      "not-utf8": frame(0xC1, compressed([0x61, 0xFF])), "cut-character": frame(0xC1, compressed([0xE2, 0x82])),
      "bad-second-half": frame(0x41, Array(bad.prefix(3))) + frame(0x80, Array(bad[3...])),
      "continuation": frame(0x41, hello) + frame(0xC0, [0]), "continuation-of-plain": frame(0x01) + frame(0xC0, hello),
      "ping": frame(0xC9), "other-bit": frame(0xA1), "interrupted": frame(0x41, hello) + frame(0xC1, hello),
      "thousand": frame(0xC2, compressed([UInt8](repeating: 7, count: 226), matches: 3)) + plain,
      "thousand-and-one": frame(0xC2, compressed([UInt8](repeating: 7, count: 227), matches: 3)),
      "large": frame(0xC1, compressed([0x61], matches: 300)) + plain,
      "too-large": frame(0xC2, compressed([0], matches: 400)),
      "too-large-and-not-utf8": frame(0xC1, compressed([0xFF], matches: 400)),
      // A dynamic block of longest matches, a thousand times its size.
      "bomb": frame(
        0xC2,
        [0xEC, 0xC1, 0x01, 0x01, 0x00, 0x00, 0x00, 0x80, 0x90, 0xFE, 0xAF, 0xEE, 0x08, 0x0A]
          + [UInt8](repeating: 0, count: 70)),
    ]
  }

  /// What we send in turns, by name; the operations are those of `ConnectionTarget`.
  private static let sendingScripts: [String: [UInt8]] = [
    "twice": [0xCA, 0x03, 80, 0xCA, 0x03, 80, 0xCA, 0x83, 90],
    "incompressible": [0xCA, 0x85, 90, 0xCA, 0x86, 127, 0xCA, 0x86, 127],
    "prepared": [0xCA, 0x03, 80, 0xD9, 0x0B, 80, 0xCA, 0x03, 80, 0xC9, 0x03, 80, 0xD9, 0x07, 200],
    "pieces": [0xC8, 0x03, 80, 0xC2, 1, 9, 0xC8, 0x85, 60, 0xCA, 0x03, 80, 0xD8, 0x00, 0, 0xCA, 0x03, 80],
    "compressed-pieces": [0xE8, 0x83, 200, 0xC2, 1, 9, 0xC8, 0x85, 160, 0xE8, 0x00, 0, 0xD8, 0x03, 90, 0xCA, 0x83, 80],
    "empty-pieces": [0xF8, 0x00, 0, 0xC8, 0x00, 0, 0xD8, 0x00, 0, 0xE8, 0x00, 0, 0xD8, 0x00, 0, 0xCA, 0x03, 80],
    "unfinished-pieces": [0xE8, 0x83, 200, 0xC9, 0x03, 80, 0xE8, 0x85, 200, 0xC3, 0x03, 0xE8, 0xF8, 0x03, 1],
  ]

  // MARK: Connections

  /// The script that receives these bytes.
  private static func receive(_ bytes: [UInt8]) -> [UInt8] {
    var script: [UInt8] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = rest.prefix(0xC0)
      script += [UInt8(part.count - 1)] + part
      rest = rest.dropFirst(part.count)
    }
    return script
  }

  private static let connections: [String: [UInt8]] = {
    var seeds: [String: [UInt8]] = [:]
    for role in [Role.client, .server] {
      let flags: UInt8 = role == .server ? 1 : 0
      for (name, bytes) in exchanges(from: role) {
        seeds["\(role)-\(name)"] = FuzzInput.bytes(flags: flags, sizes: [4, 1, 7], receive(bytes))
      }
      let message = receive(frame(0x81, Array("hi".utf8), from: role))
      let ping = receive(frame(0x89, [1], from: role))
      let close = receive(frame(0x88, [0x03, 0xE8], from: role))
      let scripts: [String: [UInt8]] = [
        "sends": [0xC0, 5] + message + [0xC1, 100, 0xC2, 2, 9, 9], "we-close": [0xC3, 0x03, 0xE8] + message + close,
        "we-close-unanswered": [0xC3, 0x0F, 0xA0] + ping + [0xC4, 60], "they-close": message + close + [0xC0, 1, 0xC5],
        "close-code-that-may-not-be-sent": [0xC3, 0x03, 0xED], "ends": Array(message.dropLast()) + [0xC5],
        "abandoned": message + [0xC6] + message, "draining": close + [0xC4, 60],
        "many-pings": [0xC7] + ping + ping + ping + ping + [0xD7] + message, "given-up": [0xC4, 51, 0xC4, 201],
        "alive": [0xC4, 51] + message + [0xC4, 51],
      ]
      for (name, script) in scripts {
        seeds["\(role)-script-\(name)"] = FuzzInput.bytes(flags: flags | 4 | 8, sizes: [5, 2], script)
      }
      for (name, bytes) in exchanges(from: role) where ["fragments", "cut-character", "text", "long"].contains(name) {
        seeds["\(role)-pieces-\(name)"] = FuzzInput.bytes(flags: flags | 0x40, sizes: [3, 1], receive(bytes))
      }
      seeds["\(role)-pieces-whole-reads"] = FuzzInput.bytes(flags: flags | 0x40, sizes: [200], message + message)
      seeds["\(role)-interrupted-in-step"] = FuzzInput.bytes(
        flags: flags, sizes: [role == .client ? 6 : 2, 200],
        receive(frame(0x01, from: role) + frame(0x82, [1, 2], from: role)))
      seeds["\(role)-shared-pieces-bytewise"] = FuzzInput.bytes(
        flags: flags | 0x50, receive(frame(0xC1, compressed(Array("κόσμε 🙂".utf8)), from: role)))
      for (name, bytes) in compressedExchanges(from: role) {
        seeds["\(role)-shared-\(name)"] = FuzzInput.bytes(flags: flags | 0x10, sizes: [5, 1, 60], receive(bytes))
        seeds["\(role)-dedicated-\(name)"] = FuzzInput.bytes(
          flags: flags | 0xF0, sizes: [4, 200, 11], receive(bytes) + [0xCB] + receive(bytes))
      }
      for (name, script) in sendingScripts {
        seeds["\(role)-sends-plain-\(name)"] = FuzzInput.bytes(flags: flags, script)
        seeds["\(role)-sends-shared-\(name)"] = FuzzInput.bytes(flags: flags | 0x90, script)
        seeds["\(role)-sends-dedicated-\(name)"] = FuzzInput.bytes(flags: flags | 0x30, script)
        seeds["\(role)-sends-dedicated-large-\(name)"] = FuzzInput.bytes(flags: flags | 0xB0, script)
      }
      let handshake = role == .client ? MachineDriver.request : MachineDriver.response
      seeds["\(role)-handshake"] = FuzzInput.bytes(
        flags: flags | 2, sizes: [100, 3], receive(handshake) + message + [0xC3, 0x03, 0xE8] + close)
      seeds["\(role)-handshake-late"] = FuzzInput.bytes(
        flags: flags | 2, receive(Array(handshake.dropLast())) + [0xC4, 110])
      let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10"
      seeds["\(role)-handshake-compressed"] = FuzzInput.bytes(
        flags: flags | 0x32, sizes: [100, 3],
        receive(handshake.dropLast(2) + Array("\(offer)\r\n\r\n".utf8))
          + receive(frame(0xC1, compressed(Array("Hello".utf8)), from: role)) + [0xCA, 0x03, 80, 0xCA, 0x03, 80])
    }
    return seeds
  }()
}

extension String {
  fileprivate func replacingCharacters(in range: Range<Index>, with text: String) -> String {
    String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
  }
}
