/// The bounds of one connection; the defaults suit message protocols with messages up to about a megabyte.
public struct ConnectionOptions: Sendable, Equatable {
  /// The delegate is asked to stop when more bytes than this wait.
  public var highWatermarkBytes = 256 * 1024
  /// And may go on when no more than this many are left.
  public var lowWatermarkBytes = 64 * 1024
  /// More pending bytes than this fail the connection with `ENOBUFS`.
  public var maxPendingBytes = 64 * 1024 * 1024
  /// How long `close()` may take to flush and to see the peer's end, before the connection is cut.
  public var drainTimeout = Duration.seconds(5)
  /// One turn reads at most about this many bytes from a connection before others get theirs.
  public var readBudgetBytes = 512 * 1024
  /// The kernel's send buffer (`SO_SNDBUF`) in bytes; nil leaves the system's own tuning.
  public var sendBufferBytes: Int32?
  /// How much of it the kernel may fill with what it has not sent yet (`TCP_NOTSENT_LOWAT`), in bytes; nil: all of it.
  public var maxUnsentKernelBytes: Int32?

  public init() {}
}
