import Locking
import CLibEv
import Glibc

/// A host name that could not be turned into addresses.
public struct ResolveError: Error, Equatable, Sendable, CustomStringConvertible {
  public let host: String
  /// An `EAI_` code (negative), or an `errno` when the lookup could not be made.
  public let code: Int32
  /// What to do; may be empty.
  public let detail: String

  public var description: String { SystemError(self).description }
}

extension SystemError {
  /// The same failure, as an error of the call `resolve`.
  public init(_ error: ResolveError) {
    self.init(call: "resolve", subject: error.host, code: error.code, detail: error.detail)
  }
}

/// Turns host names into addresses without ever blocking a loop.
///
/// `getaddrinfo` blocks for as long as a name server pleases, so it runs on threads of its own, at most
/// `maxConcurrentLookups` in the process; they are started on demand and end when nothing is queued.
public enum Resolver {
  public static let maxConcurrentLookups = 4
  /// Lookups waiting for a thread; further ones fail with `EAI_AGAIN`.
  public static let maxQueuedLookups = 1024

  /// Resolves `host` for stream connections to `port`; call on the loop.
  ///
  /// `completion` comes once, on the loop, never from within this call, with at least one address; not at all when the
  /// loop ends first. Numeric addresses need no lookup.
  public static func resolve(
    host: String, port: UInt16, on loop: EventLoop,
    _ completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
  ) {
    loop.preconditionOnLoop()
    if let numeric = SocketAddress(ip: host, port: port) {
      return loop.afterTurn { completion(.success([numeric])) }
    }
    guard !host.isEmpty, host.utf8.count <= 255, !host.utf8.contains(0) else {
      let error = ResolveError(host: host, code: EAI_NONAME, detail: "a host name has 1 to 255 bytes and no NUL")
      return loop.afterTurn { completion(.failure(error)) }
    }
    let answer = LoopBound(completion, to: loop)
    let mailbox = loop.mailbox
    let lookup = Lookup(host: host, port: port) { result in
      mailbox.post { answer.value(result) }
    }
    guard LookupThreads.submit(lookup) else {
      let detail = "more than \(maxQueuedLookups) lookups are waiting; try again later"
      let error = ResolveError(host: host, code: EAI_AGAIN, detail: detail)
      return loop.afterTurn { completion(.failure(error)) }
    }
  }
}

private struct Lookup: Sendable {
  let host: String
  let port: UInt16
  let answer: @Sendable (Result<[SocketAddress], ResolveError>) -> Void

  func perform() {
    // SAFETY: no pointer of the zeroed hints is followed.
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(LIFELINE_SOCK_STREAM)
    unsafe hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    // SAFETY: hints outlives the call; the list is freed below, once.
    let code = unsafe getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else {
      let systemCode = errno
      let detail = code == EAI_AGAIN ? "the name server did not answer; try again later" : "check the host name"
      return answer(
        .failure(ResolveError(host: host, code: code == EAI_SYSTEM ? systemCode : code, detail: detail)))
    }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var entry = unsafe list
    while let info = unsafe entry {
      if let address = unsafe Self.address(of: info.pointee, port: port), !addresses.contains(address) {
        addresses.append(address)
      }
      unsafe entry = info.pointee.ai_next
    }
    guard !addresses.isEmpty else {
      return answer(.failure(ResolveError(host: host, code: EAI_NONAME, detail: "it has no internet address")))
    }
    answer(.success(addresses))
  }

  private static func address(of info: addrinfo, port: UInt16) -> SocketAddress? {
    guard let source = unsafe info.ai_addr, Int(unsafe info.ai_addrlen) <= MemoryLayout<sockaddr_storage>.size else {
      return nil
    }
    var storage = sockaddr_storage()
    // SAFETY: getaddrinfo says how long its address is; the length was checked against the target.
    unsafe withUnsafeMutableBytes(of: &storage) {
      unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: source, count: Int(info.ai_addrlen)))
    }
    switch SocketAddress(storage, length: unsafe info.ai_addrlen) {
    case .ipv4(let address, _): return .ipv4(address, port: port)
    case .ipv6(let address, _): return .ipv6(address, port: port)
    case .unix, nil: return nil
    }
  }
}

private enum LookupThreads {
  private struct State {
    var queue: [Lookup] = []
    var running = 0
  }

  private static let state = Locked(State())

  static func submit(_ lookup: Lookup) -> Bool {
    let (accepted, needsThread) = state.withLock { state -> (Bool, Bool) in
      guard state.queue.count < Resolver.maxQueuedLookups else { return (false, false) }
      state.queue.append(lookup)
      guard state.running < Resolver.maxConcurrentLookups else { return (true, false) }
      state.running += 1
      return (true, true)
    }
    guard needsThread else { return accepted }
    do {
      try Thread.start(name: "resolver") { work() }.detach()
    } catch {
      // Others may be running and take it; if none is, nobody would.
      let orphans = state.withLock { state -> [Lookup] in
        state.running -= 1
        guard state.running == 0 else { return [] }
        defer { state.queue = [] }
        return state.queue
      }
      for orphan in orphans {
        orphan.answer(.failure(ResolveError(host: orphan.host, code: error.code, detail: "no thread could be started")))
      }
    }
    return true
  }

  private static func work() {
    while let lookup = next() { lookup.perform() }
  }

  private static func next() -> Lookup? {
    state.withLock { state in
      if state.queue.isEmpty {
        state.running -= 1
        return nil
      }
      return state.queue.removeFirst()
    }
  }
}
