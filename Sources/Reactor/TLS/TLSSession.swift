import COpenSSL
import Glibc

/// TLS on one connection (RFC 8446, RFC 5246): ciphertext in, plaintext out, and the other way about. It knows no socket.
///
/// Not `Sendable`: it lives on the loop of its connection.
@safe
final class TLSSession {
  enum Role { case server, client }

  enum HandshakeStep {
    case done
    case needsInput
    case failed(TLSFailure)
  }

  enum ReadEnd {
    case needsInput
    /// The peer said that nothing more comes.
    case closed
    case failed(TLSFailure)
  }

  let role: Role
  private let ssl: OpaquePointer
  private let channel: UnsafeMutablePointer<TLSChannel>
  private(set) var isEstablished = false
  /// A server's, until the client has sent its first record.
  var firstRecord: FirstRecord?
  /// Nothing more is encrypted or decrypted: what is in the output is all that will be sent.
  private(set) var isBroken = false
  private(set) var sawEnd = false
  private var sentEnd = false
  private var expectedName: String?
  /// Whom a certificate was for that was not believed.
  private var refusedNames: [String] = []
  /// Hears of sessions that can be taken up later; tells whether it took over the reference.
  var onNewSession: ((OpaquePointer) -> Bool)?
  /// Called once, when both ends have agreed.
  var onEstablished: (() -> Void)?

  init?(context: OpaquePointer, role: Role) {
    self.role = role
    firstRecord = role == .server ? FirstRecord() : nil
    // SAFETY: the SSL takes a reference to the context; `SSL_set_bio` takes over the one to the BIO; both end in deinit,
    // before the channel that they point to.
    guard let ssl = unsafe SSL_new(context) else { return nil }
    guard let bio = unsafe BIO_new(TLSChannel.method.pointer) else {
      unsafe SSL_free(ssl)
      return nil
    }
    unsafe self.ssl = ssl
    unsafe channel = .allocate(capacity: 1)
    unsafe channel.initialize(to: TLSChannel())
    unsafe BIO_set_data(bio, channel)
    unsafe BIO_set_init(bio, 1)
    unsafe SSL_set_bio(ssl, bio, bio)
    unsafe SSL_set_ex_data(ssl, Self.ownerIndex, Unmanaged.passUnretained(self).toOpaque())
    switch role {
    case .server: unsafe SSL_set_accept_state(ssl)
    case .client: unsafe SSL_set_connect_state(ssl)
    }
  }

  deinit {
    unsafe SSL_free(ssl)
    unsafe channel.pointee.output?.discard()
    unsafe channel.deinitialize(count: 1)
    unsafe channel.deallocate()
  }

  /// What no connection of ours does without.
  static func setCommonRules(of context: OpaquePointer) {
    // SAFETY: the context is alive.
    unsafe lifeline_ssl_ctx_set_modes(context)
    _ = unsafe lifeline_ssl_ctx_set_min_version(context, TLS1_2_VERSION)
    // RFC 8996 retires what is older than 1.2; renegotiation is an attack's tool (RFC 5746); compression leaks (CRIME).
    unsafe lifeline_ssl_ctx_forbid_old_tricks(context)
  }

  // MARK: Owner

  private static let ownerIndex = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, nil, nil, nil, nil)

  static func withOwner(of ssl: OpaquePointer, _ body: (TLSSession) -> Bool) -> Bool {
    guard let data = unsafe SSL_get_ex_data(ssl, ownerIndex) else { return false }
    // SAFETY: the owner frees the SSL in its deinit, so it is alive while OpenSSL works for the SSL.
    return unsafe Unmanaged<TLSSession>.fromOpaque(data)._withUnsafeGuaranteedRef { body($0) }
  }

  func keep(_ session: OpaquePointer) -> Bool { unsafe onNewSession?(session) ?? false }

  /// Remembers whom a refused certificate was for, because OpenSSL does not keep it; the verdict stays as it is.
  static let rememberRefused: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isGood, store in
    guard isGood == 0, let store = unsafe store,
      let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    else { return isGood }
    // SAFETY: the store context is alive for the call, and its data is the SSL that verifies.
    _ = unsafe withOwner(of: OpaquePointer(ssl)) { session in
      session.refusedNames = unsafe names(of: X509_STORE_CTX_get0_cert(store))
      return true
    }
    return isGood
  }

  // MARK: A client's wishes

  /// The server must prove to be `name`, a host name or an address (RFC 9525).
  func expect(name: String) {
    expectedName = name
    let parameters = unsafe SSL_get0_param(ssl)
    // SAFETY: OpenSSL copies the names during the calls.
    if unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 { return }
    unsafe SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
    _ = unsafe SSL_set1_host(ssl, name)
    // RFC 6066 §3: names only, no addresses.
    _ = unsafe lifeline_ssl_set_server_name(ssl, name)
  }

  func resume(_ session: OpaquePointer) { _ = unsafe SSL_set_session(ssl, session) }

  // MARK: Bytes

  /// Ciphertext that waits to be sent.
  var ciphertextBytes: Int { unsafe channel.pointee.output?.count ?? 0 }

  /// Valid until the next call.
  var ciphertext: UnsafeRawBufferPointer {
    unsafe channel.pointee.output?.pending ?? UnsafeRawBufferPointer(start: nil, count: 0)
  }

  func consumeCiphertext(_ count: Int) { unsafe channel.pointee.output?.consume(count) }

  /// To be called before anything else of this session is, so that it has somewhere to write.
  func lend(_ pool: inout OutputPool) {
    if unsafe channel.pointee.output == nil { unsafe channel.pointee.output = pool.lend() }
  }

  /// Gives the buffer back once it is empty.
  func giveBack(to pool: inout OutputPool) {
    guard let lease = unsafe channel.pointee.output, lease.count == 0 else { return }
    unsafe channel.pointee.output = nil
    pool.takeBack(lease)
  }

  /// Lends received ciphertext for the length of `body`, which goes on until the session needs more.
  func withInput(_ bytes: UnsafeRawBufferPointer, _ body: () -> Void) {
    unsafe channel.pointee.input = bytes[...]
    body()
    unsafe channel.pointee.input = nil
  }

  func shakeHands() -> HandshakeStep {
    guard !isBroken else { return .needsInput }
    OpenSSLErrors.clear()
    let result = unsafe SSL_do_handshake(ssl)
    if result == 1 {
      isEstablished = true
      return .done
    }
    switch unsafe SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsInput
    default: return .failed(takeFailure())
    }
  }

  /// Decrypts into `buffer` whatever is there; more room than all the input takes makes it one call for a whole read.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> (count: Int, end: ReadEnd) {
    var filled = 0
    guard !isBroken else { return (0, .needsInput) }
    while filled < buffer.count {
      OpenSSLErrors.clear()
      let room = Int32(clamping: buffer.count - filled)
      // SAFETY: OpenSSL writes at most `room` bytes behind those that are filled.
      let result = unsafe SSL_read(ssl, buffer.baseAddress.map { unsafe $0 + filled }, room)
      if result > 0 {
        filled += Int(result)
        // Asking again when nothing is left would cost as much as a record.
        if unsafe channel.pointee.hasNoInput, unsafe SSL_pending(ssl) == 0 { return (filled, .needsInput) }
        continue
      }
      switch unsafe SSL_get_error(ssl, result) {
      case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return (filled, .needsInput)
      case SSL_ERROR_ZERO_RETURN:
        sawEnd = true
        return (filled, .closed)
      default: return (filled, .failed(takeFailure()))
      }
    }
    return (filled, .needsInput)
  }

  /// Encrypts all of `bytes` into the output; `false` when the session is broken.
  func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard !isBroken else { return false }
    OpenSSLErrors.clear()
    // SAFETY: OpenSSL reads `count` bytes during the call. The output takes everything, so nothing is left over.
    let result = unsafe SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
    return Int(result) == bytes.count
  }

  /// Says that nothing more comes from us (RFC 8446 §6.1). Harmless when repeated.
  func sayEnd() {
    guard isEstablished, !isBroken, !sentEnd else { return }
    sentEnd = true
    OpenSSLErrors.clear()
    _ = unsafe SSL_shutdown(ssl)
  }

  var hasSaidEnd: Bool { sentEnd }

  /// Ends encryption; what is in the output, the alert say, may still be sent.
  func breakOff(saying plainText: String = "") {
    isBroken = true
    guard !plainText.isEmpty else { return }
    if let output = unsafe channel.pointee.output, output.count > 0 { output.consume(output.count) }
    var text = plainText
    text.withUTF8 { bytes in
      // SAFETY: the text lends its bytes for the call.
      unsafe channel.pointee.output?.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes)), RawSpan())
    }
  }

  private func takeFailure() -> TLSFailure {
    let code = OpenSSLErrors.take()
    let verification = unsafe SSL_get_verify_result(ssl)
    return TLSFailure(openSSL: code, verification: verification) {
      (expected: expectedName ?? "", found: refusedNames)
    }
  }

  // MARK: What was agreed on

  var info: TLSInfo? {
    guard isEstablished else { return nil }
    var protocolStart: UnsafePointer<UInt8>?
    var protocolCount: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &protocolStart, &protocolCount)
    // SAFETY: constant strings, or ones that live as long as the SSL; all are copied here.
    let applicationProtocol = unsafe protocolStart.map {
      unsafe String(decoding: UnsafeBufferPointer(start: $0, count: Int(protocolCount)), as: UTF8.self)
    }
    let serverName = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { unsafe String(cString: $0) }
    return unsafe TLSInfo(
      version: String(cString: SSL_get_version(ssl)),
      cipher: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)).map { unsafe String(cString: $0) } ?? "",
      isResumed: SSL_session_reused(ssl) == 1, applicationProtocol: applicationProtocol, serverName: serverName,
      peerSubject: Self.subject(of: peerCertificate))
  }

  private var peerCertificate: OpaquePointer? { unsafe SSL_get0_peer_certificate(ssl) }
}
