import COpenSSL
import Glibc
import Locking

/// What all TLS connections of a client share: whom it believes, and the sessions that it can take up again.
@safe
public final class TLSClientContext: Sendable {
  @safe private struct Handle: @unchecked Sendable {
    // SAFETY: OpenSSL counts references to contexts and locks what threads share; nothing is changed after init.
    let context: OpaquePointer
  }

  @safe private struct Sessions: @unchecked Sendable {
    // SAFETY: only touched under the lock; OpenSSL's sessions are counted and immutable once they are here.
    var ofPeer: [String: OpaquePointer] = unsafe [:]
    /// From the one that was used longest ago.
    var order: [String] = []
  }

  public let configuration: TLSClientConfiguration
  private let handle: Handle
  private let sessions = Locked(Sessions())

  /// Peers whose last session is kept.
  static let maxSessions = 256

  /// Reads the files; TLS 1.2 is the oldest version that is spoken.
  public init(_ configuration: TLSClientConfiguration = TLSClientConfiguration()) throws(TLSConfigurationError) {
    self.configuration = configuration
    unsafe handle = try Handle(context: Self.make(configuration))
    // A client's sessions come here, and not into a cache of OpenSSL's that would have to be searched.
    let mode = SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
    unsafe lifeline_ssl_ctx_set_session_cache(handle.context, Int(mode))
    unsafe SSL_CTX_sess_set_new_cb(handle.context) { ssl, session in
      guard let session = unsafe session, let ssl = unsafe ssl else { return 0 }
      // SAFETY: the data is the session object that owns this SSL and is alive while OpenSSL works for it.
      return unsafe TLSSession.withOwner(of: ssl) { unsafe $0.keep(session) } ? 1 : 0
    }
  }

  deinit {
    // SAFETY: connections that still live hold references of their own.
    sessions.withLock { sessions in
      unsafe sessions.ofPeer.values.forEach { unsafe SSL_SESSION_free($0) }
    }
    unsafe SSL_CTX_free(handle.context)
  }

  /// One connection's part, for a peer that was asked for as `host`; `nil` when memory is out.
  func makeSession(host: String, port: UInt16) -> TLSSession? {
    let name = configuration.serverName ?? host
    let peer = "\(name):\(port)"
    guard let session = unsafe TLSSession(context: handle.context, role: .client) else { return nil }
    session.expect(name: name)
    unsafe session.onNewSession = { [weak self] in unsafe self?.store($0, for: peer) ?? false }
    sessions.withLock { sessions in
      if let earlier = unsafe sessions.ofPeer[peer] { unsafe session.resume(earlier) }
    }
    return session
  }

  /// - Returns: whether the reference was taken over.
  private func store(_ session: OpaquePointer, for peer: String) -> Bool {
    sessions.withLock { sessions in
      if let old = unsafe sessions.ofPeer.updateValue(session, forKey: peer) {
        unsafe SSL_SESSION_free(old)
        sessions.order.removeAll { $0 == peer }
      }
      sessions.order.append(peer)
      if sessions.order.count > Self.maxSessions {
        let oldest = sessions.order.removeFirst()
        if let session = unsafe sessions.ofPeer.removeValue(forKey: oldest) { unsafe SSL_SESSION_free(session) }
      }
    }
    return true
  }

  private static func make(_ configuration: TLSClientConfiguration) throws(TLSConfigurationError) -> OpaquePointer {
    // SAFETY: the context is freed on every way out but the last, which hands it over.
    guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
      throw TLSConfigurationError("this OpenSSL has no TLS: \(OpenSSLErrors.takeText())")
    }
    do throws(TLSConfigurationError) {
      if let file = configuration.caFile {
        try unsafe TLSFiles.loadAuthorities(file, into: context)
      } else if unsafe SSL_CTX_set_default_verify_paths(context) != 1 {
        throw TLSConfigurationError("the system's certificate authorities cannot be found; name a file of yours")
      }
      switch (configuration.certificateChainFile, configuration.privateKeyFile) {
      case (let chain?, let key?): try unsafe TLSFiles.loadIdentity(chain: chain, key: key, into: context)
      case (nil, nil): break
      case (nil, let key?): throw TLSConfigurationError("the private key \(key) needs its certificate as well")
      case (let chain?, nil): throw TLSConfigurationError("the certificate \(chain) needs its private key as well")
      }
    } catch {
      unsafe SSL_CTX_free(context)
      throw error
    }
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, TLSSession.rememberRefused)
    unsafe TLSSession.setCommonRules(of: context)
    let protocols = TLSFiles.wireForm(configuration.applicationProtocols)
    if !protocols.isEmpty { _ = unsafe SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count)) }
    return unsafe context
  }
}
