import Primitives

/// What a service manager can be told, in the words of sd_notify(3).
struct ServiceNotice: Equatable {
  /// The datagram: `NAME=VALUE` lines.
  let text: String
  /// Whether the service manager acts on it: such a notice is sent again when there was no room for it.
  let matters: Bool

  /// It serves from now on; also the end of a reload.
  static func ready(_ status: String) -> ServiceNotice {
    ServiceNotice(text: "READY=1\n\(line(status))", matters: true)
  }

  /// It reads its files again.
  /// - Parameter now: a reading of `CLOCK_MONOTONIC`, by which `Type=notify-reload` tells this reload from older ones.
  static func reloading(at now: Instant) -> ServiceNotice {
    ServiceNotice(text: "RELOADING=1\nMONOTONIC_USEC=\(now.nanoseconds / 1_000)", matters: true)
  }

  /// It is about to end, and may take this long: the unit's own limit may be shorter than what it was told to wait for.
  static func stopping(within limit: Duration, _ status: String) -> ServiceNotice {
    ServiceNotice(
      text: "STOPPING=1\nEXTEND_TIMEOUT_USEC=\(microseconds(limit))\n\(line(status))", matters: true)
  }

  /// For `systemctl status`; the next one comes soon.
  static func status(_ status: String) -> ServiceNotice { ServiceNotice(text: line(status), matters: false) }

  /// The loop turns; the next one comes soon.
  static let alive = ServiceNotice(text: "WATCHDOG=1", matters: false)

  private static let maxStatusCharacters = 400

  private static func line(_ status: String) -> String {
    "STATUS=\(status.escapedForDisplay.prefix(maxStatusCharacters))"
  }

  private static func microseconds(_ duration: Duration) -> Int64 {
    let (seconds, attoseconds) = duration.components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? .max : whole.addingReportingOverflow(attoseconds / 1_000_000_000_000).partialValue
  }
}
