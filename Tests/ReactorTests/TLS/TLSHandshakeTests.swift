import Certificates
import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(2))) struct TLSHandshakeTests {
  private let certificates: TestCertificates

  init() throws { certificates = try TestCertificates() }

  // MARK: Agreement

  @Test func `both ends agree, the server learns the name and the client the certificate`() throws {
    try withSecurePair(certificates.server(), certificates.client(), serverName: "localhost") { pair in
      #expect(pair.server?.tlsInfo?.version == "TLSv1.3")
      #expect(pair.server?.tlsInfo?.cipher == pair.client?.tlsInfo?.cipher)
      #expect(pair.server?.tlsInfo?.serverName == "localhost")
      #expect(pair.server?.tlsInfo?.peerSubject == nil)
      #expect(pair.client?.tlsInfo?.peerSubject == "CN = server")
      #expect(pair.client?.tlsInfo?.isResumed == false)
      #expect(pair.client?.tlsInfo?.applicationProtocol == nil)
      pair.serverSide.onReceive = { $0.send("pong") }
      pair.clientSide.onReceive = { _ in pair.client?.close() }
      pair.client?.send("ping")
      pair.loop.when({ !pair.serverSide.closes.isEmpty && !pair.clientSide.closes.isEmpty }) {
        #expect(pair.serverSide.text == "ping")
        #expect(pair.clientSide.text == "pong")
        #expect(pair.serverSide.closes == [nil])
        #expect(pair.clientSide.closes == [nil])
        #expect(pair.loop.connections.count == 0)
        pair.loop.stop()
      }
    }
  }

  @Test(
    arguments: [
      (["lifeline", "http/1.1"], ["http/1.1", "lifeline"], "lifeline"), (["lifeline"], [], nil),
      ([], ["lifeline"], nil),
    ] as [([String], [String], String?)])
  func `the server's preference decides about the application protocol`(
    server: [String], client: [String], agreed: String?
  ) throws {
    var serverConfiguration = try certificates.serverConfiguration()
    serverConfiguration.applicationProtocols = server
    var clientConfiguration = certificates.clientConfiguration()
    clientConfiguration.applicationProtocols = client
    try withSecurePair(TLSServerContext(serverConfiguration), TLSClientContext(clientConfiguration)) { pair in
      #expect(pair.server?.tlsInfo?.applicationProtocol == agreed)
      #expect(pair.client?.tlsInfo?.applicationProtocol == agreed)
      pair.loop.stop()
    }
  }

  @Test func `no application protocol in common fails both`() throws {
    var server = try certificates.serverConfiguration()
    server.applicationProtocols = ["lifeline"]
    var client = certificates.clientConfiguration()
    client.applicationProtocols = ["h2"]
    let outcome = try handshake(TLSServerContext(server), TLSClientContext(client))
    #expect(!outcome.connected)
    let problem = text(of: outcome.client?.tls)
    #expect(problem.contains("no application protocol"), "\(outcome)")
  }

  // MARK: Verification

  @Test(
    arguments: [
      (-7_200, -1, .certificateExpired), (3_600, 7_200, .certificateNotYetValid),
    ] as [(Int64, Int64, TLSFailure)])
  func `a certificate out of its time is refused, and the server hears of it`(
    from: Int64, to: Int64, failure: TLSFailure
  ) throws {
    let server = try TLSServerContext(certificates.serverConfiguration(from: from, to: to))
    let outcome = try handshake(server, certificates.client())
    #expect(outcome.client?.tls == failure)
    #expect(!outcome.connected)
    let heard = try #require(outcome.server.first ?? nil)
    #expect("\(heard)".contains("the peer refused: "), "\(heard)")
  }

  @Test(
    arguments: [
      (["build.example", "192.0.2.7"], nil, "127.0.0.1"), (["127.0.0.1"], "localhost", "localhost"),
      (["*.build.example"], "build.example", "build.example"),
      (["*.build.example"], "a.b.build.example", "a.b.build.example"),
      ([], "localhost", "localhost"),
    ] as [([String], String?, String)])
  func `a certificate for others is refused, and the error says for whom it is`(
    names: [String], serverName: String?, expected: String
  ) throws {
    let server = try TLSServerContext(certificates.serverConfiguration(names: names))
    let outcome = try handshake(server, certificates.client(), serverName: serverName)
    #expect(outcome.client?.tls == .wrongHost(expected: expected, names: names), "\(outcome)")
    for name in names { #expect(text(of: outcome.client).contains(name)) }
    #expect(!outcome.connected)
  }

  @Test(arguments: ["a.build.example", "A.BUILD.EXAMPLE", "127.0.0.1", "::1"])
  func `a certificate's names and addresses are believed, whichever was dialled`(name: String) throws {
    let server = try TLSServerContext(certificates.serverConfiguration(names: ["*.build.example", "127.0.0.1", "::1"]))
    let outcome = try handshake(server, certificates.client(), serverName: name)
    #expect(outcome.connected, "\(outcome)")
    #expect(outcome.client == nil)
  }

  @Test func `an authority that nobody knows is not believed`() throws {
    let strangers = try TestCertificates()
    for client in [try strangers.client(), try TLSClientContext()] {
      let outcome = try handshake(certificates.server(), client)
      #expect(outcome.client?.tls == .unknownAuthority, "\(outcome)")
      #expect(text(of: outcome.client).contains("nobody who is trusted here"))
      #expect(!outcome.connected)
    }
  }

  @Test func `a client's certificate does not make a server`() throws {
    let files = try certificates.issue("impostor", names: ["127.0.0.1"], use: .client)
    let server = try TLSServerContext(
      TLSServerConfiguration(certificateChainFile: files.certificate, privateKeyFile: files.key))
    let outcome = try handshake(server, certificates.client())
    guard case .certificateRefused(let text) = outcome.client?.tls else {
      Issue.record("\(outcome)")
      return
    }
    #expect(text.contains("purpose"))
  }

  // MARK: Clients' certificates

  private func demanding(required: Bool) throws -> TLSServerContext {
    var configuration = try certificates.serverConfiguration()
    configuration.clientCAFile = certificates.caFile
    configuration.requiresClientCertificate = required
    return try TLSServerContext(configuration)
  }

  @Test(arguments: [true, false])
  func `a client that shows its certificate is known by its subject`(required: Bool) throws {
    let identity = try certificates.issue("worker-7", use: .client)
    let client = try TLSClientContext(certificates.clientConfiguration(identity))
    try withSecurePair(demanding(required: required), client) { pair in
      #expect(pair.server?.tlsInfo?.peerSubject == "CN = worker-7")
      pair.loop.stop()
    }
  }

  @Test func `a client without a certificate is turned away where one is required`() throws {
    let outcome = try handshake(demanding(required: true), certificates.client())
    #expect(outcome.client?.tls == .clientCertificateMissing, "\(outcome)")
    #expect(outcome.server.first??.tls == .clientCertificateMissing)
    #expect(!outcome.connected)
  }

  @Test func `and served where it is not`() throws {
    let outcome = try handshake(demanding(required: false), certificates.client())
    #expect(outcome.connected)
    #expect(outcome.server == [nil])
  }

  @Test(arguments: ["strange", "expired", "a server's"])
  func `a certificate that the server cannot believe is no better than none`(kind: String) throws {
    let strangers = try TestCertificates()
    let identity =
      switch kind {
      case "strange": try strangers.issue("worker-7", use: .client)
      case "expired": try certificates.issue("worker-7", use: .client, from: -7_200, to: -1)
      default: try certificates.issue("worker-7", use: .server)
      }
    let client = try TLSClientContext(certificates.clientConfiguration(identity))
    let outcome = try handshake(demanding(required: false), client)
    #expect(!outcome.connected)
    let heard = try #require(outcome.server.first??.tls)
    switch (kind, heard) {
    case ("strange", .unknownAuthority), ("expired", .certificateExpired), ("a server's", .certificateRefused): break
    default: Issue.record("\(heard)")
    }
    guard case .refusedByPeer = outcome.client?.tls else {
      Issue.record("\(outcome)")
      return
    }
  }

  // MARK: Resumption

  /// Connects once with each pair, one after the other and always to the same address, and waits for a byte from the
  /// server and with it for its tickets; whether sessions were resumed, and whom the server saw.
  private func connections(
    _ pairs: [(TLSServerContext, TLSClientContext)], before: @escaping (Int) -> Void = { _ in }
  ) throws -> (isResumed: [Bool], subjects: [String?]) {
    var outcome: (isResumed: [Bool], subjects: [String?]) = ([], [])
    var address = SocketAddress.loopback()
    try withLoop(limit: .seconds(60)) { loop in
      func connect(_ number: Int) {
        guard number < pairs.count else { return loop.stop() }
        before(number)
        let (server, client) = pairs[number]
        let (serverSide, clientSide) = (Recorder(), Recorder())
        var accepted: Connection?
        let listener = try? Listener.listen(at: address, on: loop, tls: server) { connection in
          connection.delegate = serverSide
          accepted = connection
        }
        guard let listener else {
          Issue.record("nobody can listen at \(address)")
          return loop.stop()
        }
        address = listener.localAddress
        Connection.connect(to: address, on: loop, tls: client) { result in
          guard let connection = try? result.get() else {
            Issue.record("\(result)")
            return loop.stop()
          }
          connection.delegate = clientSide
          clientSide.onReceive = { connection in
            #expect(connection.tlsInfo?.isResumed == accepted?.tlsInfo?.isResumed)
            outcome.isResumed.append(connection.tlsInfo?.isResumed ?? false)
            outcome.subjects.append(accepted?.tlsInfo?.peerSubject)
            connection.close()
            listener.close()
          }
        }
        loop.when({ accepted?.tlsInfo != nil }) { accepted?.send("!") }
        loop.when({ !serverSide.closes.isEmpty && !clientSide.closes.isEmpty }) { connect(number + 1) }
      }
      connect(0)
    }
    return outcome
  }

  @Test func `a second connection takes the session up again, with the same server and client only`() throws {
    let (server, client) = (try certificates.server(), try certificates.client())
    let outcome = try connections([
      (server, client), (server, client), (server, client), (server, certificates.client()),
      (certificates.server(), client),
    ])
    #expect(outcome.isResumed == [false, true, true, false, false])
  }

  @Test func `a session taken up again still knows its client`() throws {
    let identity = try certificates.issue("worker-7", use: .client)
    let client = try TLSClientContext(certificates.clientConfiguration(identity))
    let server = try demanding(required: true)
    let outcome = try connections([(server, client), (server, client)])
    #expect(outcome.isResumed == [false, true])
    #expect(outcome.subjects == ["CN = worker-7", "CN = worker-7"])
  }

  @Test(arguments: [false, true])
  func `sessions survive a reload, unless clients must show certificates`(demands: Bool) throws {
    let identity = try certificates.issue("worker-7", use: .client)
    let client = try TLSClientContext(certificates.clientConfiguration(identity))
    let server = demands ? try demanding(required: true) : try certificates.server()
    let outcome = try connections([(server, client), (server, client), (server, client)]) { number in
      if number == 2 { #expect(throws: Never.self) { try server.reload() } }
    }
    #expect(outcome.isResumed == [false, true, !demands])
  }

  // MARK: Reload

  @Test func `a new certificate serves new connections and the old ones stay`() throws {
    let server = try certificates.server()
    try withSecurePair(server, certificates.client()) { [certificates] pair in
      // The same files, with another certificate in them.
      let first = pair.client?.tlsInfo?.peerSubject
      #expect(first == "CN = server")
      pair.serverSide.onReceive = { $0.send("pong") }
      #expect(throws: Never.self) {
        let renewed = try certificates.issue("renewed", names: ["127.0.0.1"])
        for (from, to, secrecy) in [
          (renewed.certificate, "server.pem", PEMFile.Secrecy.open), (renewed.key, "server-key.pem", .secret),
        ] {
          try PEMFile.write(try PEMFile.read(from), to: certificates.directory.file(to), secrecy)
        }
        try server.reload()
      }
      pair.client?.send("ping")
      pair.loop.when({ pair.clientSide.text == "pong" }) {
        #expect(pair.client?.isOpen == true)
        pair.loop.stop()
      }
    }
    try withSecurePair(server, certificates.client()) { pair in
      #expect(pair.client?.tlsInfo?.peerSubject == "CN = renewed")
      pair.loop.stop()
    }
  }

  @Test func `a bad new certificate is refused and the old one kept`() throws {
    let server = try certificates.server()
    let other = try certificates.issue("other")
    try PEMFile.write(try PEMFile.read(other.key), to: certificates.directory.file("server-key.pem"), .secret)
    let error = #expect(throws: TLSConfigurationError.self) { try server.reload() }
    #expect(text(of: error).contains("does not belong to the certificate"))
    let outcome = try handshake(server, certificates.client())
    #expect(outcome.connected)
  }
}
