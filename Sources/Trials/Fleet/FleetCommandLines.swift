import Primitives

/// What the processes of a fleet under trial are told on their command lines.
struct FleetCommandLines {
  let options: TrialOptions
  let settings: FleetSettings

  private static func text(_ duration: Duration) -> String { "\(duration.wholeMilliseconds)ms" }

  private var heartbeats: [String] {
    [
      "--heartbeat-interval", Self.text(settings.heartbeatInterval), "--heartbeat-timeout",
      Self.text(settings.heartbeatTimeout),
    ]
  }
  private var reconnections: [String] {
    [
      "--reconnect-delay", Self.text(settings.reconnectDelay), "--max-reconnect-delay",
      Self.text(settings.maxReconnectDelay),
    ]
  }

  /// - Parameter port: 0 for the first time.
  func coordinator(_ name: String, port: UInt16, store: String, history: String) -> [String] {
    [
      "coordinator", "--host", "127.0.0.1", "--port", "\(port)", "--store", store, "--lease",
      Self.text(settings.lease), "--closed-grace", Self.text(settings.closedGrace), "--history", history,
    ] + heartbeats
      + (options.store == .file ? [] : ["--name", name, "--member-lease", Self.text(settings.memberLease)])
  }

  func worker(_ name: String, coordinators: [String], history: String, environment: String) -> [String] {
    [
      "worker", "--worker-id", name, "--coordinator", coordinators.joined(separator: ","), "--slots",
      "\(settings.slots)", "--state-dir", "\(options.directory)/state/\(name)", "--history", history, "--pass-env",
      environment,
    ] + reconnections + heartbeats
  }

  /// All workers in one process.
  func host(coordinators: [String], history: String) -> [String] {
    [
      "fleet", "--workers", "\(options.workers)", "--worker-prefix", "worker", "--coordinator",
      coordinators.joined(separator: ","), "--slots", "\(settings.slots)", "--history", history,
    ] + reconnections + heartbeats
  }
}
