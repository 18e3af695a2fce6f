import ArgumentParsing
import Coordination
import CoordinationCore
import Primitives

/// What `lifeline coordinator` says about how much it takes.
enum OverloadOptions {
  private static let rate = Option(
    "max-registrations", .integer(1...1_000_000), default: Int(AdmissionSettings().upgrades.rate), as: "N",
    "Workers, and clients, admitted a second; more are told to come back (503 with Retry-After). Twice as many are "
      + "admitted at once after a quiet time.")
  private static let connections = Option(
    "max-connections", .integer(1...10_000_000), default: AdmissionSettings().maxConnections, as: "N",
    "Connections at a time, and never more than there are descriptors.")
  private static let perAddress = Option(
    "max-connections-per-address", .integer(1...10_000_000), default: AdmissionSettings().maxConnectionsPerAddress,
    as: "N", "Those from one IPv4 address, or one IPv6 network of 64 bits: a whole site may be behind it.")
  private static let slowReaderTimeout = Option(
    "slow-reader-timeout", .duration(.milliseconds(100) ... .seconds(86_400)),
    default: AdmissionSettings().slowReaders.timeout,
    "A worker or client that does not read what it is sent is dropped after this time.")
  static let drainTimeout = Option(
    "drain-timeout", .duration(.zero ... .seconds(3_600)), default: .seconds(5),
    "SIGTERM closes connections spread over this time if they are many: at least 100 every 100 ms.")

  static let all: [any DeclaredOption] = [rate, connections, perAddress, slowReaderTimeout, drainTimeout]

  /// Descriptors for everything but connections: the store, its journal, the log, the loop.
  private static let reservedDescriptors = 64

  static func apply(_ invocation: Invocation, to settings: inout CoordinatorSettings) {
    settings.admission.upgrades.rate = Double(invocation[rate])
    settings.admission.upgrades.burst = 2 * invocation[rate]
    let descriptors = DescriptorLimit.raise()
    settings.admission.maxConnections = min(
      invocation[connections], max(1, descriptors - reservedDescriptors - AdmissionSettings.maxRefusedAtOnce))
    settings.admission.maxConnectionsPerAddress = invocation[perAddress]
    settings.admission.slowReaders.timeout = invocation[slowReaderTimeout]
    settings.core.slowReaderTimeout = invocation[slowReaderTimeout]
  }
}
