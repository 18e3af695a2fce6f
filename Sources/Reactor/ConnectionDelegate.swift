/// Hears what happens to a connection; every call comes on the connection's loop.
///
/// The connection holds its delegate until `connectionDidClose` has been delivered.
public protocol ConnectionDelegate: AnyObject {
  /// Bytes arrived. They are valid during the call only and may be changed in place.
  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan)
  /// The peer will send no more. Sending is still possible; by default the connection is closed gracefully.
  func connectionDidReachEndOfStream(_ connection: Connection)
  /// More than `highWatermarkBytes` were waiting after a send. Stop producing; by default nothing.
  ///
  /// Comes at the end of the turn, once until the drain that always follows unless the connection closes. A producer
  /// may equally stop by itself when `pendingBytes` exceeds the watermark.
  func connectionDidRiseAboveHighWatermark(_ connection: Connection)
  /// The peer caught up: `lowWatermarkBytes` or fewer wait. By default nothing.
  func connectionDidDrainBelowLowWatermark(_ connection: Connection)
  /// The connection is over: exactly once, always, and never from within a call made on the connection.
  ///
  /// The error is nil after `close()`, `abort()` or both directions' orderly ends; otherwise for instance `ECONNRESET`,
  /// `ENOBUFS` (`maxPendingBytes` exceeded), `ETIMEDOUT` (`drainTimeout` passed with bytes unsent) or `ECANCELED` (the
  /// loop ended).
  func connectionDidClose(_ connection: Connection, error: SystemError?)
}

extension ConnectionDelegate {
  public func connectionDidReachEndOfStream(_ connection: Connection) { connection.close() }
  public func connectionDidRiseAboveHighWatermark(_ connection: Connection) {}
  public func connectionDidDrainBelowLowWatermark(_ connection: Connection) {}
}
