import CoordinationCore
import FaultProxy
import Glibc
import Primitives
import Reactor

/// A proxy that is this whole process: its loop, its schedule, its commands, its end.
final class ProxyProcess {
  private let loop: EventLoop
  private let plan: ProxyPlan
  private let target: String
  private let listen: String
  private let control: String?
  private var proxy: FaultProxy?
  private var controlListener: Listener?
  private var input: ByteStream?
  /// Reading without blocking changes a terminal for everyone who shares it.
  private var inputFlags: Int32 = -1
  private var draw: FaultDraw?
  private var status: Int32 = 0
  private var start = Instant.zero

  init(_ plan: ProxyPlan, target: String, listen: String, control: String?) throws(SystemError) {
    loop = try EventLoop()
    self.plan = plan
    self.target = target
    self.listen = listen
    self.control = control
  }

  func run() throws(SystemError) -> Int32 {
    for number in [SIGTERM, SIGINT] { try loop.onSignal(number) { [loop] in loop.stop() } }
    resolve(target, "--to") { [self] target in
      resolve(listen, "--listen") { [self] address in begin(target, address) }
    }
    loop.run()
    if inputFlags >= 0 { _ = fcntl(STDIN_FILENO, F_SETFL, inputFlags) }
    proxy?.close()
    controlListener?.close()
    if let control, let path = Self.unixPath(control), controlListener != nil {
      // SAFETY: the path lives for the call.
      _ = unsafe unlink(path)
    }
    return status
  }

  private func fail(_ problem: String) {
    Console.standard.complain("lifeline proxy: \(problem)")
    status = 1
    loop.stop()
  }

  static func unixPath(_ text: String) -> String? { text.hasPrefix("unix:") ? String(text.dropFirst(5)) : nil }

  /// `HOST:PORT`, an IPv6 address in brackets.
  static func hostAndPort(_ text: String) -> (host: String, port: UInt16)? {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    return host.isEmpty ? nil : (host, port)
  }

  private func resolve(_ text: String, _ option: String, _ body: @escaping (SocketAddress) -> Void) {
    guard let (host, port) = Self.hostAndPort(text) else {
      return fail("\(option) \(text): no host and port")
    }
    Resolver.resolve(host: host, port: port, on: loop) { [self] result in
      switch result {
      case .failure(let error): fail("\(option) \(text): \(error)")
      case .success(let addresses):
        guard let address = addresses.first else { return fail("\(option) \(text): no address") }
        body(address)
      }
    }
  }

  private func begin(_ target: SocketAddress, _ address: SocketAddress) {
    do {
      let proxy = try FaultProxy(to: target, at: address, seed: plan.seed ?? 0, on: loop)
      self.proxy = proxy
      start = loop.now
      for command in plan.commands { proxy.perform(command) }
      if let control {
        guard let address = Self.controlAddress(control) else { return fail("--control \(control): no address") }
        controlListener = try Listener.listen(at: address, on: loop) { [weak self] connection in
          connection.delegate = ControlConnection { self?.answer($0) ?? "{}" }
        }
      }
      Console.standard.write("listening on \(Self.text(proxy.address))\n")
      if let controlListener { Console.standard.write("control on \(Self.text(controlListener.localAddress))\n") }
    } catch { return fail("\(error)") }
    readInput()
    for entry in plan.entries {
      _ = loop.schedule(after: entry.at) { [weak self] in self?.perform(entry.command, entry.text) }
    }
    guard let seed = plan.seed else { return }
    Console.standard.complain("# faults are drawn from seed \(seed)")
    draw = FaultDraw(seed: seed)
    _ = loop.schedule(after: plan.interval) { [weak self] in self?.disrupt() }
  }

  /// `unix:PATH`, or an IP address and a port.
  static func controlAddress(_ text: String) -> SocketAddress? {
    if let path = unixPath(text) { return path.isEmpty ? nil : .unix(path: path) }
    return hostAndPort(text).flatMap { SocketAddress(ip: $0.host, port: $0.port) }
  }

  private static func text(_ address: SocketAddress) -> String {
    if case .unix(let path) = address { "unix:\(path)" } else { "\(address)" }
  }

  private func disrupt() {
    guard let next = draw?.next(longest: plan.interval / 2), let command = try? FaultCommand(next.text) else { return }
    perform(command, next.text)
    _ = loop.schedule(after: next.lasts) { [weak self] in self?.perform(.heal, "heal") }
    _ = loop.schedule(after: plan.interval) { [weak self] in self?.disrupt() }
  }

  // MARK: Commands

  /// What was done and when, as a schedule has it: standard error, in a file, replays the run by `--schedule`.
  private func perform(_ command: FaultCommand, _ text: String) {
    if command != .show { Console.standard.complain("\((loop.now - start).wholeMilliseconds)ms \(text)") }
    proxy?.perform(command)
  }

  /// Standard input's commands; its end changes nothing.
  private func readInput() {
    var lines = CommandLines()
    let descriptor = dup(STDIN_FILENO)
    guard descriptor >= 0 else { return }
    inputFlags = fcntl(STDIN_FILENO, F_GETFL)
    input = ByteStream(
      descriptor: descriptor, on: loop,
      onBytes: { [weak self] bytes in
        for line in lines.append(bytes) {
          guard let self else { return }
          Console.standard.write(line: answer(line))
        }
      }, onEnd: {})
  }

  /// One line of JSON: `{"ok": true, …}` or `{"ok": false, "error": …}`.
  private func answer(_ line: String) -> String {
    do throws(FaultCommand.Problem) {
      let command = try FaultCommand(line)
      perform(command, line)
      guard let proxy else { return "{}" }
      return JSONValue.object(ProxyState.json(proxy)).text
    } catch {
      return JSONValue.object(["ok": false, "error": .string("\(error)")]).text
    }
  }
}

/// Whole lines out of a stream; one that is longer than any command could be is given as it is so far.
struct CommandLines {
  private var rest: [UInt8] = []
  private static let maxBytes = 4_096

  mutating func append(_ bytes: RawSpan) -> [String] {
    // SAFETY: the pointer is used within the closure only.
    unsafe bytes.withUnsafeBytes { unsafe rest.append(contentsOf: $0) }
    var lines: [String] = []
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      lines.append(String(decoding: rest[..<end].filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self))
      rest.removeSubrange(...end)
    }
    if rest.count > Self.maxBytes {
      lines.append(String(decoding: rest.prefix(Self.maxBytes), as: UTF8.self))
      rest = []
    }
    return lines
  }
}

/// One connection over which commands come.
private final class ControlConnection: ConnectionDelegate {
  private let answer: (String) -> String
  private var lines = CommandLines()

  init(_ answer: @escaping (String) -> String) { self.answer = answer }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    for line in lines.append(bytes.bytes) { connection.send(answer(line) + "\n") }
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {}
}

/// A proxy's faults and counts, for programs and people.
enum ProxyState {
  static func json(_ proxy: FaultProxy) -> JSONObject {
    let statistics = proxy.statistics
    func counts(_ counts: [FaultDirection: Int]) -> JSONValue {
      ["up": .integer(Int64(counts[.up] ?? 0)), "down": .integer(Int64(counts[.down] ?? 0))]
    }
    return [
      "ok": true, "up": .object(json(proxy.faults.up)), "down": .object(json(proxy.faults.down)),
      "black_hole": .bool(proxy.isBlackHole), "refusing": .bool(proxy.isRefusing),
      "stalling": .bool(proxy.isStalling),
      "connections": .integer(Int64(proxy.openConnections)), "accepted": .integer(Int64(statistics.accepted)),
      "refused": .integer(Int64(statistics.refused)), "resets": .integer(Int64(statistics.resets)),
      "held_bytes": .integer(Int64(proxy.heldBytes)), "bytes": counts(statistics.bytes),
      "corrupted_bytes": counts(statistics.corruptedBytes), "dropped_bytes": counts(statistics.droppedBytes),
    ]
  }

  private static func json(_ faults: Faults) -> JSONObject {
    func number(_ value: Int?) -> JSONValue { value.map { .integer(Int64($0)) } ?? .null }
    return [
      "latency_ms": .integer(Int64(faults.latency.wholeMilliseconds)),
      "jitter_ms": .integer(Int64(faults.jitter.wholeMilliseconds)), "bandwidth": number(faults.bytesPerSecond),
      "slice": number(faults.sliceBytes), "pause_ms": .integer(Int64(faults.slicePause.wholeMilliseconds)),
      "corrupt": number(faults.corruptsOneIn), "limit": number(faults.byteLimit),
      "ending": .string(faults.ending.rawValue), "delivery": .string(faults.delivery.rawValue),
      "close_delay_ms": .integer(Int64(faults.closeDelay.wholeMilliseconds)),
    ]
  }
}
