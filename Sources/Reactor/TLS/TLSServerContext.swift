import COpenSSL
import Locking

/// What all TLS connections of a server share: its certificate, its rules, and the keys of the tickets with which clients
/// take up their sessions again. For any number of listeners and loops.
@safe
public final class TLSServerContext: Sendable {
  @safe private struct State: @unchecked Sendable {
    // SAFETY: OpenSSL counts references to contexts and locks what threads share in them; nothing here is changed once
    // the first session was made.
    let context: OpaquePointer
    let configuration: TLSServerConfiguration
  }

  private let state: Locked<State>

  /// Reads the files; TLS 1.2 is the oldest version that is spoken.
  public init(_ configuration: TLSServerConfiguration) throws(TLSConfigurationError) {
    let context = try unsafe Self.make(configuration)
    unsafe state = Locked(State(context: context, configuration: configuration))
  }

  deinit {
    // SAFETY: sessions that still live hold references of their own.
    unsafe SSL_CTX_free(state.withLock { unsafe $0.context })
  }

  /// Reads the files again, for connections to come; those that are there stay. When this throws nothing has changed.
  ///
  /// Tickets given out before stay good, so that a fleet's reconnections stay cheap, unless clients must show
  /// certificates: then whoever has changed the authority wants everybody judged anew.
  public func reload() throws(TLSConfigurationError) {
    let configuration = state.withLock { $0.configuration }
    let renewed = try unsafe Self.make(configuration)
    let old = unsafe state.withLock { state in
      let old = unsafe state.context
      if configuration.clientCAFile == nil { unsafe Self.takeOverTicketKeys(of: old, by: renewed) }
      unsafe state = State(context: renewed, configuration: configuration)
      return unsafe old
    }
    // SAFETY: as in deinit.
    unsafe SSL_CTX_free(old)
  }

  /// One accepted connection's part; `nil` when memory is out.
  func makeSession() -> TLSSession? {
    state.withLock { unsafe TLSSession(context: $0.context, role: .server) }
  }

  private static func make(_ configuration: TLSServerConfiguration) throws(TLSConfigurationError) -> OpaquePointer {
    // SAFETY: the context is freed on every way out but the last, which hands it over.
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
      throw TLSConfigurationError("this OpenSSL has no TLS: \(OpenSSLErrors.takeText())")
    }
    do throws(TLSConfigurationError) {
      try unsafe TLSFiles.loadIdentity(
        chain: configuration.certificateChainFile, key: configuration.privateKeyFile, into: context)
      if let file = configuration.clientCAFile {
        try unsafe TLSFiles.loadAuthorities(file, into: context)
        let required = configuration.requiresClientCertificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER | required, nil)
        // Clients with several certificates choose by the names of the authorities.
        if let names = unsafe SSL_load_client_CA_file(file) { unsafe SSL_CTX_set_client_CA_list(context, names) }
      }
    } catch {
      unsafe SSL_CTX_free(context)
      throw error
    }
    unsafe TLSSession.setCommonRules(of: context)
    let id = Array("lifeline".utf8)
    _ = unsafe SSL_CTX_set_session_id_context(context, id, UInt32(id.count))
    // Tickets keep the sessions with the clients; a cache here would only grow.
    unsafe lifeline_ssl_ctx_set_session_cache(context, Int(SSL_SESS_CACHE_OFF))
    unsafe setApplicationProtocols(configuration.applicationProtocols, of: context)
    return unsafe context
  }

  private static let ticketKeyBytes = 80

  /// OpenSSL makes up new ones for each context.
  private static func takeOverTicketKeys(of old: OpaquePointer, by context: OpaquePointer) {
    var keys = [UInt8](repeating: 0, count: ticketKeyBytes)
    // SAFETY: both calls are told the array's size.
    guard unsafe lifeline_ssl_ctx_get_ticket_keys(old, &keys, ticketKeyBytes) == 1 else { return }
    _ = unsafe lifeline_ssl_ctx_set_ticket_keys(context, &keys, ticketKeyBytes)
  }

  /// A list that lives as long as the context, which frees it by its index.
  private final class ProtocolList {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
  }

  private static let protocolListIndex = unsafe CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, nil, nil, nil) {
    _, pointer, _, _, _, _ in
    // SAFETY: what was stored is a retained list, once.
    if let pointer = unsafe pointer { unsafe Unmanaged<ProtocolList>.fromOpaque(pointer).release() }
  }

  private static func setApplicationProtocols(_ protocols: [String], of context: OpaquePointer) {
    let wire = TLSFiles.wireForm(protocols)
    guard !wire.isEmpty else { return }
    let list = unsafe Unmanaged.passRetained(ProtocolList(wire)).toOpaque()
    guard unsafe SSL_CTX_set_ex_data(context, protocolListIndex, list) == 1 else {
      return unsafe Unmanaged<ProtocolList>.fromOpaque(list).release()
    }
    unsafe SSL_CTX_set_alpn_select_cb(
      context,
      { _, chosen, chosenCount, offered, offeredCount, argument in
        guard let argument = unsafe argument else { return SSL_TLSEXT_ERR_NOACK }
        // SAFETY: the list lives as long as the context; what is chosen points into the client's offer or into the list,
        // and OpenSSL copies it when this returns.
        return unsafe Unmanaged<ProtocolList>.fromOpaque(argument)._withUnsafeGuaranteedRef { list in
          unsafe list.bytes.withUnsafeBufferPointer { ours in
            let result = unsafe chosen?.withMemoryRebound(to: UnsafeMutablePointer<UInt8>?.self, capacity: 1) {
              unsafe SSL_select_next_proto(
                $0, chosenCount, ours.baseAddress, UInt32(ours.count), offered, offeredCount)
            }
            return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
          }
        }
      }, list)
  }
}
