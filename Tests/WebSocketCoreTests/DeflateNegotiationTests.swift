import Testing

@testable import WebSocketCore

/// The rules of RFC 7692 §5 and §7.1 for both roles.
@Suite struct DeflateNegotiationTests {
  private static func elements(_ fields: String...) throws -> [ExtensionOffer] {
    var headers = HTTPHeaders()
    for field in fields { headers.append("Sec-WebSocket-Extensions", field) }
    return try ExtensionOffer.parse(headers)
  }

  private static func configuration(
    _ context: CompressionConfiguration.Context, outgoing: Int = 15, incoming: Int = 15
  ) -> CompressionConfiguration {
    var configuration = CompressionConfiguration(context: context)
    configuration.maxOutgoingWindowBits = outgoing
    configuration.maxIncomingWindowBits = incoming
    return configuration
  }

  // MARK: Server

  struct Offer: CustomTestStringConvertible {
    let what: String
    let field: String
    var configuration = DeflateNegotiationTests.configuration(.dedicated)
    /// `nil` if it is declined.
    let response: String?
    var testDescription: String { what }
  }

  @Test(
    arguments: [
      Offer(what: "nothing asked", field: "permessage-deflate", response: "permessage-deflate"),
      Offer(
        what: "a shared context forgets both ways, asked or not", field: "permessage-deflate",
        configuration: configuration(.shared),
        response: "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
      Offer(
        what: "the server is asked to forget", field: "permessage-deflate; server_no_context_takeover",
        response: "permessage-deflate; server_no_context_takeover"),
      Offer(
        what: "the client says it forgets", field: "permessage-deflate; client_no_context_takeover",
        response: "permessage-deflate; client_no_context_takeover"),
      Offer(
        what: "the client can be told its window", field: "permessage-deflate; client_max_window_bits",
        response: "permessage-deflate"),
      Offer(
        what: "the client is told its window", field: "permessage-deflate; client_max_window_bits",
        configuration: configuration(.dedicated, incoming: 10),
        response: "permessage-deflate; client_max_window_bits=10"),
      Offer(
        what: "the client's own window is smaller", field: "permessage-deflate; client_max_window_bits=9",
        configuration: configuration(.dedicated, incoming: 10),
        response: "permessage-deflate; client_max_window_bits=9"),
      Offer(
        what: "the client's own window is larger", field: "permessage-deflate; client_max_window_bits=14",
        configuration: configuration(.dedicated, incoming: 10),
        response: "permessage-deflate; client_max_window_bits=10"),
      Offer(
        what: "the smallest client window", field: "permessage-deflate; client_max_window_bits=8",
        response: "permessage-deflate; client_max_window_bits=8"),
      Offer(
        what: "a client that cannot be told its window", field: "permessage-deflate",
        configuration: configuration(.dedicated, incoming: 14), response: nil),
      Offer(
        what: "the server is asked for a small window", field: "permessage-deflate; server_max_window_bits=9",
        response: "permessage-deflate; server_max_window_bits=9"),
      Offer(
        what: "the server's own window is smaller", field: "permessage-deflate; server_max_window_bits=14",
        configuration: configuration(.dedicated, outgoing: 11),
        response: "permessage-deflate; server_max_window_bits=11"),
      Offer(
        what: "the server says its window unasked", field: "permessage-deflate",
        configuration: configuration(.dedicated, outgoing: 11),
        response: "permessage-deflate; server_max_window_bits=11"),
      Offer(
        what: "a server window that zlib cannot keep to", field: "permessage-deflate; server_max_window_bits=8",
        response: nil),
      Offer(
        what: "everything, quoted and spaced",
        field:
          #"permessage-deflate ;server_max_window_bits= "10";  client_max_window_bits ="12";server_no_context_takeover"#
          + "; client_no_context_takeover",
        response:
          "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; "
          + "client_max_window_bits=12"),
      Offer(what: "an unknown parameter", field: "permessage-deflate; level=9", response: nil),
      Offer(what: "a parameter in other case", field: "permessage-deflate; Server_Max_Window_Bits=10", response: nil),
      Offer(what: "server bits without value", field: "permessage-deflate; server_max_window_bits", response: nil),
      Offer(
        what: "a value where none belongs", field: "permessage-deflate; server_no_context_takeover=1", response: nil),
      Offer(
        what: "a value where none belongs, for the client", field: "permessage-deflate; client_no_context_takeover=x",
        response: nil),
      Offer(
        what: "a parameter twice", field: "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        response: nil),
      Offer(
        what: "a flag twice", field: "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        response: nil),
      Offer(what: "another extension", field: "x-webkit-deflate-frame", response: nil),
      Offer(what: "another extension first", field: "mux; a=b, permessage-deflate", response: "permessage-deflate"),
      Offer(
        what: "an invalid offer before a valid one", field: "permessage-deflate; level=9, permessage-deflate",
        response: "permessage-deflate"),
      Offer(
        what: "an offer that cannot be met before one that can",
        field:
          "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10, "
          + "permessage-deflate",
        response: "permessage-deflate; server_max_window_bits=10"),
    ])
  func `a server takes the first offer that it can meet`(_ row: Offer) throws {
    let extensions = Extensions.negotiated(from: try Self.elements(row.field), row.configuration)
    #expect(extensions.responseValue == row.response)
    #expect(extensions.reservedBits == (row.response == nil ? 0 : 0x40))
    #expect(Extensions.negotiated(from: try Self.elements(row.field), nil) == .none)
  }

  @Test func `offers in several fields are one list`() throws {
    let offers = try Self.elements("permessage-deflate; level=9", "permessage-deflate; server_max_window_bits=12")
    let extensions = Extensions.negotiated(from: offers, Self.configuration(.dedicated))
    #expect(extensions.responseValue == "permessage-deflate; server_max_window_bits=12")
  }

  @Test(
    arguments: ["7", "16", "0", "00", "08", "010", "+9", "-9", "9.0", "0x9", "99999999999999999999", "x"],
    ["server_max_window_bits", "client_max_window_bits"])
  func `a window that is no number from 8 to 15 is invalid in either direction`(value: String, name: String) throws {
    let element = try Self.elements("permessage-deflate; \(name)=\(value)")
    let configuration = Self.configuration(.dedicated)
    #expect(Extensions.negotiated(from: element, configuration) == .none)
    #expect(
      throws: HandshakeError.extensionInvalid(
        "permessage-deflate", detail: "\(name) is \(value), not a number from 8 to 15")
    ) {
      try Extensions.confirmed(by: element, offered: configuration)
    }
  }

  @Test func `an empty value is malformed, not absent`() {
    #expect(throws: HandshakeError.self) { try Self.elements("permessage-deflate; client_max_window_bits=") }
    #expect(throws: HandshakeError.self) { try Self.elements(#"permessage-deflate; client_max_window_bits="""#) }
  }

  // MARK: Client

  @Test(
    arguments: [
      (
        configuration(.shared),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
      ),
      (configuration(.dedicated), "permessage-deflate; client_max_window_bits"),
      (
        configuration(.dedicated, outgoing: 10, incoming: 12),
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=10"
      ),
    ])
  func `a client offers what it wants`(_ configuration: CompressionConfiguration, _ value: String) {
    #expect(Extensions.offerValue(for: configuration) == value)
    #expect(Extensions.offerValue(for: nil) == nil)
  }

  struct Answer: CustomTestStringConvertible {
    let what: String
    let field: String
    var configuration = DeflateNegotiationTests.configuration(.dedicated)
    let agreement: DeflateAgreement
    var testDescription: String { what }
  }

  private static func agreement(
    serverForgets: Bool = false, clientForgets: Bool = false, server: Int = 15, client: Int = 15
  ) -> DeflateAgreement {
    DeflateAgreement(
      serverNoContextTakeover: serverForgets, clientNoContextTakeover: clientForgets, serverMaxWindowBits: server,
      clientMaxWindowBits: client)
  }

  @Test(
    arguments: [
      Answer(what: "the least", field: "permessage-deflate", agreement: agreement()),
      Answer(
        what: "both forget", field: "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        configuration: configuration(.shared), agreement: agreement(serverForgets: true, clientForgets: true)),
      Answer(
        what: "a shared context forgets by itself", field: "permessage-deflate; server_no_context_takeover",
        configuration: configuration(.shared), agreement: agreement(serverForgets: true, clientForgets: true)),
      Answer(
        what: "the client is told to forget", field: "permessage-deflate; client_no_context_takeover",
        agreement: agreement(clientForgets: true)),
      Answer(
        what: "the server forgets unasked", field: "permessage-deflate; server_no_context_takeover",
        agreement: agreement(serverForgets: true)),
      Answer(
        what: "a smaller server window unasked", field: "permessage-deflate; server_max_window_bits=8",
        agreement: agreement(server: 8)),
      Answer(
        what: "a smaller server window than asked", field: "permessage-deflate; server_max_window_bits=9",
        configuration: configuration(.dedicated, incoming: 12), agreement: agreement(server: 9)),
      Answer(
        what: "a smaller client window", field: #"permessage-deflate; client_max_window_bits="10""#,
        configuration: configuration(.dedicated, outgoing: 12), agreement: agreement(client: 10)),
      Answer(
        what: "no word about the client window", field: "permessage-deflate",
        configuration: configuration(.dedicated, outgoing: 12), agreement: agreement(client: 12)),
      Answer(
        what: "a client window that zlib cannot keep to", field: "permessage-deflate; client_max_window_bits=8",
        agreement: agreement(client: 8)),
    ])
  func `a client takes an answer that fits its offer`(_ row: Answer) throws {
    let extensions = try Extensions.confirmed(by: try Self.elements(row.field), offered: row.configuration)
    #expect(extensions == Extensions(deflate: row.agreement))
  }

  struct BadAnswer: CustomTestStringConvertible {
    let field: String
    let configuration: CompressionConfiguration?
    let error: HandshakeError
    var testDescription: String { field }

    init(_ field: String, _ configuration: CompressionConfiguration?, _ error: HandshakeError) {
      self.field = field
      self.configuration = configuration
      self.error = error
    }

    init(
      _ field: String, _ configuration: CompressionConfiguration = CompressionConfiguration(context: .dedicated),
      invalid detail: String
    ) {
      self.init(field, configuration, .extensionInvalid("permessage-deflate", detail: detail))
    }
  }

  @Test(
    arguments: [
      BadAnswer("permessage-deflate", nil, .extensionNotOffered("permessage-deflate")),
      BadAnswer("permessage-bzip2", configuration(.shared), .extensionNotOffered("permessage-bzip2")),
      BadAnswer("permessage-deflate, mux", configuration(.dedicated), .extensionNotOffered("mux")),
      BadAnswer("permessage-deflate, permessage-deflate", invalid: "it is selected twice"),
      BadAnswer("permessage-deflate; level=9", invalid: "level is not a parameter of permessage-deflate"),
      BadAnswer("permessage-deflate; client_max_window_bits", invalid: "client_max_window_bits lacks its value"),
      BadAnswer("permessage-deflate; server_max_window_bits", invalid: "server_max_window_bits lacks its value"),
      BadAnswer(
        "permessage-deflate; server_no_context_takeover=1",
        invalid: "server_no_context_takeover has the value 1 but takes none"),
      BadAnswer(
        "permessage-deflate; client_no_context_takeover=1",
        invalid: "client_no_context_takeover has the value 1 but takes none"),
      BadAnswer(
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        invalid: "server_max_window_bits appears more than once"),
      BadAnswer(
        "permessage-deflate", configuration(.shared), invalid: "server_no_context_takeover was asked for and is missing"
      ),
      BadAnswer(
        "permessage-deflate", configuration(.dedicated, incoming: 12),
        invalid: "server_max_window_bits is 15, more than the 12 offered"),
      BadAnswer(
        "permessage-deflate; server_max_window_bits=13", configuration(.dedicated, incoming: 12),
        invalid: "server_max_window_bits is 13, more than the 12 offered"),
      BadAnswer(
        "permessage-deflate; client_max_window_bits=13", configuration(.dedicated, outgoing: 12),
        invalid: "client_max_window_bits is 13, more than the 12 offered"),
    ])
  func `a client fails the connection on an answer that does not fit`(_ row: BadAnswer) throws {
    let choices = try Self.elements(row.field)
    #expect(throws: row.error) { try Extensions.confirmed(by: choices, offered: row.configuration) }
  }

  @Test func `no answer is no compression`() throws {
    #expect(try Extensions.confirmed(by: [], offered: Self.configuration(.shared)) == .none)
  }

  // MARK: Both

  @Test func `whatever a client and a server want, what one sends the other can inflate`() throws {
    for contexts in [(0, 0), (0, 1), (1, 0), (1, 1)] {
      let kinds: [CompressionConfiguration.Context] = [.shared, .dedicated]
      for bits in 0..<(7 * 7 * 7 * 7) {
        let server = Self.configuration(
          kinds[contexts.0], outgoing: 9 + bits % 7, incoming: 9 + bits / 7 % 7)
        let client = Self.configuration(kinds[contexts.1], outgoing: 9 + bits / 49 % 7, incoming: 9 + bits / 343)
        let offer = try #require(Extensions.offerValue(for: client))
        let answered = Extensions.negotiated(from: try Self.elements(offer), server)
        let response = try #require(answered.responseValue)
        let confirmed = try Extensions.confirmed(by: try Self.elements(response), offered: client)
        let ends = [Role.server: try #require(answered.deflate), .client: try #require(confirmed.deflate)]
        for sender in Role.both {
          let outgoing = try #require(ends[sender]?.outgoing(for: sender))
          let incoming = try #require(ends[sender.peer]?.incoming(for: sender.peer))
          let limit = sender == .server ? (server, client) : (client, server)
          try #require(outgoing.windowBits <= incoming.windowBits, "\(server) \(client)")
          try #require(incoming.takeover || !outgoing.takeover, "\(server) \(client)")
          try #require(outgoing.windowBits <= limit.0.maxOutgoingWindowBits, "\(server) \(client)")
          try #require(incoming.windowBits <= limit.1.maxIncomingWindowBits, "\(server) \(client)")
          try #require(limit.1.context == .dedicated || !incoming.takeover, "\(server) \(client)")
        }
      }
    }
  }

  @Test func `a number out of its range is moved into it`() {
    var configuration = CompressionConfiguration()
    configuration.level = 0
    configuration.memoryLevel = 10
    configuration.maxOutgoingWindowBits = 8
    configuration.maxIncomingWindowBits = 16
    configuration.thresholdBytes = -1
    configuration.maxInflationRatio = 0
    #expect(configuration.level == 1 && configuration.memoryLevel == 9)
    #expect(configuration.maxOutgoingWindowBits == 9 && configuration.maxIncomingWindowBits == 15)
    #expect(configuration.thresholdBytes == 0 && configuration.maxInflationRatio == 1)
  }

  @Test func `only dedicated contexts cost a connection memory`() {
    var configuration = CompressionConfiguration(context: .dedicated)
    #expect(configuration.maxBytesPerConnection == (262 + 32 + 7) * 1024)
    configuration.context = .shared
    #expect(configuration.maxBytesPerConnection == 0)
  }
}
