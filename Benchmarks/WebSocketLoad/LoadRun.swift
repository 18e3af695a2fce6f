import Glibc

/// Does what the options ask for, and measures it.
public enum LoadRun {
  public static func run(_ options: LoadOptions) throws(LoadError) -> LoadResult {
    signal(SIGPIPE, SIG_IGN)
    raiseDescriptorLimit()
    var server: ObservedProcess?
    if let pid = options.serverPID { server = try ObservedProcess(pid: pid) }
    switch (options.mode, server) {
    case (.idle, let server?): return .idle(try idle(options, server))
    case (.accept, let server?): return .accept(try accept(options, server))
    default: return .echo(try echo(options, server))
    }
  }

  private static func upgrade(_ options: LoadOptions) -> Upgrade {
    Upgrade(
      options.target,
      extensions: options.deflates ? (options.keepsContext ? Upgrade.dedicatedOffer : Upgrade.offer) : nil)
  }

  private static func echo(_ options: LoadOptions, _ server: ObservedProcess?) throws(LoadError) -> EchoResult {
    let (descriptors, terms) = try upgrade(options).open(options.connections)
    var load = try EchoLoad(descriptors, terms, options)
    try load.start()
    if options.warmUp > .zero { _ = try load.run(for: options.warmUp) }
    let generator = try ObservedProcess(pid: getpid())
    let ownBefore = try generator.processorTime()
    let serverBefore = try server?.processorTime()
    let window = try load.run(for: options.duration)
    let serverAfter = try server?.processorTime()
    let own = try generator.processorTime() - ownBefore
    guard window.messages > 0 else { throw LoadError("no answer came within \(options.duration)") }
    var usage: ObservedProcess.ProcessorTime?
    if let serverBefore, let serverAfter { usage = serverAfter - serverBefore }
    return EchoResult(window: window, generator: own, server: usage, serverCores: options.serverCores)
  }

  private static func idle(_ options: LoadOptions, _ server: ObservedProcess) throws(LoadError) -> IdleResult {
    let upgrade = upgrade(options)
    // The first connection pays for what every later one shares.
    let first = try upgrade.open(1)
    var warm = try EchoLoad(first.descriptors, first.terms, options)
    try warm.exchange(max(1, options.exchanges))
    let before = try settled(server)
    let (descriptors, terms) = try upgrade.open(options.connections)
    var load = try EchoLoad(descriptors, terms, options)
    try load.exchange(options.exchanges)
    let after = try settled(server)
    return IdleResult(connections: options.connections, before: before, after: after)
  }

  /// The server's resident bytes once they have stayed the same for a second, or after ten.
  private static func settled(_ server: ObservedProcess) throws(LoadError) -> Int {
    var last = try server.residentBytes()
    var same = 0
    for _ in 0..<50 where same < 5 {
      usleep(200_000)
      let now = try server.residentBytes()
      same = now == last ? same + 1 : 0
      last = now
    }
    return last
  }

  /// Opens all connections, counts the server's time for that alone, and closes them; again until the time is up.
  private static func accept(_ options: LoadOptions, _ server: ObservedProcess) throws(LoadError) -> AcceptResult {
    let upgrade = upgrade(options)
    var result = AcceptResult()
    let warmEnd = Clocks.monotonic + options.warmUp.wholeNanoseconds
    var end: UInt64 = .max
    while Clocks.monotonic < end {
      let isMeasured = Clocks.monotonic >= warmEnd
      if isMeasured, end == .max { end = Clocks.monotonic + options.duration.wholeNanoseconds }
      let before = try quiet(server)
      let ownBefore = Clocks.processor
      let start = Clocks.monotonic
      let (descriptors, _) = try upgrade.open(options.connections)
      let nanoseconds = Clocks.monotonic - start
      let own = Clocks.processor - ownBefore
      let after = try quiet(server)
      for descriptor in descriptors {
        // A reset, so that no port waits a minute before it can be used again.
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
      }
      guard isMeasured else { continue }
      result.connections += options.connections
      result.serverNanoseconds += after.total - before.total
      result.nanoseconds += nanoseconds
      result.generatorNanoseconds += own
    }
    return result
  }

  /// The server's time once it works no more: two readings, 5 ms apart, that are equal.
  private static func quiet(_ server: ObservedProcess) throws(LoadError) -> ObservedProcess.ProcessorTime {
    var last = try server.processorTime()
    for _ in 0..<2_000 {
      usleep(5_000)
      let now = try server.processorTime()
      if now.total == last.total { return now }
      last = now
    }
    throw LoadError("the server does not come to rest")
  }

  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

extension Duration {
  /// Those of a duration that is not negative.
  fileprivate var wholeNanoseconds: UInt64 {
    UInt64(components.seconds) * 1_000_000_000 + UInt64(components.attoseconds / 1_000_000_000)
  }
}
