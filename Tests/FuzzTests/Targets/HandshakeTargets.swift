@testable import WebSocketCore

/// A request and what follows it. Flags: 0 reject it, 1 tight limits, 2 ordinary requests are answered.
enum RequestTarget {
  static func run(_ input: inout FuzzInput) throws(Finding) {
    let bytes = Array(input.rest)
    let whole = try drive([bytes], input)
    try drive(input.cut(bytes), input).requireSame(as: whole, pongsToo: true)
    try checkAnswer(whole)
    try whole.checkOutput()
  }

  private static func drive(_ reads: [[UInt8]], _ input: FuzzInput) throws(Finding) -> MachineDriver {
    let driver = MachineDriver(
      .server, HandshakeLimits.configuration(areTight: input.has(1)), resources: input.has(2) ? resource : nil)
    if input.has(0) { driver.rejection = Rejection(status: 403, message: "no\r\n\"entry\"") }
    for read in reads { try driver.read(read) }
    return driver
  }

  private static let resource = HTTPResponse(headers: ["X-Served": "yes"], contentType: "text/plain", body: [1, 2, 3])

  /// Every ordinary request has one well-formed answer, in order; then comes the upgrade's, a refusal, or nothing.
  private static func checkAnswer(_ driver: MachineDriver) throws(Finding) {
    for case .upgradeRequested(let request) in driver.events {
      try require(request.target.hasPrefix("/"), "the target is \(request.target)")
      try require(request.subprotocols.allSatisfy(\.isToken), "a subprotocol is no token")
    }
    var rest = driver.output.prefix(driver.handshakeBytes ?? driver.output.count)
    for case .resourceRequested(let request) in driver.events {
      let answer = try nextAnswer(&rest, isToHead: request.method == .head)
      try require(request.target.hasPrefix("/"), "the target is \(request.target)")
      try require(answer.status == 200 && answer.fields["x-served"] == "yes", "the answer is \(answer)")
      try require(answer.fields["content-length"] == "3", "the body's length is given as \(answer.fields)")
      try require(answer.body == (request.method == .head ? [] : [1, 2, 3]), "the body is \(answer.body)")
      try require(answer.fields["connection"] ?? "close" == "close", "the answer says \(answer.fields)")
      try require(
        request.body.count <= driver.machine.configuration.maxRequestBodyBytes, "a body of \(request.body.count) bytes")
    }
    if driver.handshakeBytes != nil {
      let head = try nextAnswer(&rest, isToHead: true)
      let allowed: Set = [
        "upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol",
        "sec-websocket-extensions",
      ]
      try require(head.status == 101, "the upgrade is answered with \(head.status)")
      try require(
        head.fields.count == Set(head.fields.keys).count && allowed.isSuperset(of: head.fields.keys),
        "the upgrade's answer has \(head.fields)")
    } else if let head = try optionalAnswer(&rest) {
      try require((400...599).contains(head.status), "the refusal's status is \(head.status)")
      try require(head.fields["connection"]?.contains("close") == true, "the refusal does not say close")
    }
    try require(rest.isEmpty, "\(rest.count) bytes follow the last answer")
  }

  private static func nextAnswer(_ bytes: inout ArraySlice<UInt8>, isToHead: Bool) throws(Finding) -> HTTPAnswer {
    guard let answer = try optionalAnswer(&bytes, isToHead: isToHead) else {
      throw Finding(description: "there is no answer")
    }
    return answer
  }

  /// The next answer behind any `100 Continue`; `nil` when there is nothing more.
  private static func optionalAnswer(
    _ bytes: inout ArraySlice<UInt8>, isToHead: Bool = false
  ) throws(Finding) -> HTTPAnswer? {
    while !bytes.isEmpty {
      guard let answer = HTTPAnswer(&bytes, isToHead: isToHead) else {
        throw Finding(description: "the answer is malformed: \(String(decoding: bytes, as: UTF8.self))")
      }
      if answer.status != 100 { return answer }
    }
    return nil
  }
}

/// A response and what follows it, to a client that offered two subprotocols. Flags: 1 tight limits.
enum ResponseTarget {
  static func run(_ input: inout FuzzInput) throws(Finding) {
    let bytes = Array(input.rest)
    let whole = try drive([bytes], input)
    try drive(input.cut(bytes), input).requireSame(as: whole, pongsToo: true)
    for case .opened(let response) in whole.events {
      try require(
        response.subprotocol.map(MachineDriver.subprotocols.contains) ?? true, "a subprotocol that was not offered")
    }
    if whole.handshakeBytes == nil {
      try require(whole.output == MachineDriver.request, "something was sent before the handshake was done")
    }
    try whole.checkOutput()
    try whole.endStream()
    if case .handshake(.refused(let refusal))? = whole.machine.outcome?.failure {
      try require(refusal.status != 101 && refusal.body.count <= 4096, "the refusal is \(refusal)")
    }
  }

  private static func drive(_ reads: [[UInt8]], _ input: FuzzInput) throws(Finding) -> MachineDriver {
    let driver = MachineDriver(.client, HandshakeLimits.configuration(areTight: input.has(1)))
    for read in reads { try driver.read(read) }
    return driver
  }
}

enum HandshakeLimits {
  static func configuration(areTight: Bool) -> WebSocketConfiguration {
    var configuration = WebSocketConfiguration()
    if areTight {
      configuration.maxRequestHeadBytes = 300
      configuration.maxHeaderFields = 8
      configuration.maxRequestBodyBytes = 64
    }
    return configuration
  }
}

/// An HTTP answer, read as strictly as possible.
private struct HTTPAnswer {
  var status = 0
  var fields: [String: String] = [:]
  var body: [UInt8] = []

  /// Takes the next answer from the front of `bytes`.
  init?(_ bytes: inout ArraySlice<UInt8>, isToHead: Bool) {
    guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
    var lines = bytes[..<end.lowerBound].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
    for index in lines.indices.dropLast() {
      guard lines[index].last == UInt8(ascii: "\r") else { return nil }
      lines[index].removeLast()
    }
    guard lines.allSatisfy({ line in line.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 } }) else { return nil }
    let first = String(decoding: lines.popFirst() ?? [], as: UTF8.self)
    guard first.hasPrefix("HTTP/1.1 "), let status = Int(first.dropFirst(9).prefix(3)) else { return nil }
    self.status = status
    for line in lines {
      let text = String(decoding: line, as: UTF8.self)
      guard let colon = text.firstRange(of: ": ") else { return nil }
      guard fields.updateValue(String(text[colon.upperBound...]), forKey: text[..<colon.lowerBound].lowercased()) == nil
      else { return nil }
    }
    bytes = bytes[end.upperBound...]
    guard !isToHead, let length = fields["content-length"] else { return }
    guard let count = Int(length), count <= bytes.count else { return nil }
    body = Array(bytes.prefix(count))
    bytes = bytes.dropFirst(count)
  }
}
