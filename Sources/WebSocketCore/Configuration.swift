/// The limits and times of WebSocket connections, the same for both roles.
public struct WebSocketConfiguration: Hashable, Sendable {
  /// The longest handshake head, in bytes; a longer one is answered with 431.
  public var maxRequestHeadBytes = 16 * 1024
  /// The most header fields in a handshake head; more are answered with 431.
  public var maxHeaderFields = 128
  /// From the TCP connection to the completed handshake; when it passes, a server answers 408.
  public var handshakeTimeout: Duration = .seconds(10)
  /// The longest body of an ordinary request to a server, in bytes; a longer one is answered with 413.
  public var maxRequestBodyBytes = 1024 * 1024
  /// From the head of an ordinary request to the end of its body, and from the beginning of one that follows another to
  /// the end of its head; when it passes, a server answers 408.
  public var requestTimeout: Duration = .seconds(30)
  /// How long the application may take to answer an ordinary request; then a server answers 503.
  public var answerTimeout: Duration = .seconds(60)
  /// How long a server keeps a connection open for the next ordinary request.
  public var keepAliveTimeout: Duration = .seconds(60)
  /// The longest payload of one received frame, in bytes; a longer one is answered with 1009.
  public var maxFrameBytes = 1024 * 1024
  /// The longest received message over all its fragments, in bytes; a longer one is answered with 1009.
  public var maxMessageBytes = 1024 * 1024
  /// How long the peer may take to answer a Close frame, and then to end the TCP connection.
  public var closeTimeout: Duration = .seconds(5)
  /// A ping is sent when nothing came from the peer for this long; `nil` sends none.
  public var pingInterval: Duration?
  /// The connection is given up when nothing came for this long after a ping.
  public var pingTimeout: Duration = .seconds(20)
  /// Pongs waiting to be written; beyond it only the newest ping is answered (RFC 6455 §5.5.3).
  public var maxPendingPongs = 64
  /// Bytes waiting to be written; a send beyond it ends the connection.
  public var maxPendingBytes = 16 * 1024 * 1024
  /// Above this many waiting bytes the delegate is told to hold back, in bytes.
  public var highWatermarkBytes = 1024 * 1024
  /// Once at most this many bytes wait again the delegate is told to go on, in bytes.
  public var lowWatermarkBytes = 256 * 1024
  /// How much the kernel may hold that it has not sent yet, in bytes (`TCP_NOTSENT_LOWAT`); `nil`: as much as it likes,
  /// which may be megabytes that whatever is sent later has to wait for.
  public var maxUnsentKernelBytes: Int?
  /// permessage-deflate (RFC 7692), which a server then takes and a client offers; `nil` sends and takes plain messages
  /// only. Beware of compressing secrets together with what an attacker chooses.
  public var compression: CompressionConfiguration?
  /// What a server supports and a client offers, the preferred one first.
  public var subprotocols: [String] = []

  public init() {}
}
