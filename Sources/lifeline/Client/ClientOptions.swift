import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor

/// What every command takes that talks to a coordinator.
enum ClientOptions {
  static let coordinator = Option(
    "coordinator", repeated: .string, default: ["ws://localhost:\(Protocols.defaultPort)"], as: "URL",
    environment: "LIFELINE_COORDINATOR",
    "The coordinator's address, or the addresses of several with commas between them: whichever answers first is taken, and "
      + "another when it is lost."
  ).shared(as: "client")
  static let patience = Option(
    "patience", .duration(), default: ClientSettings().patience ?? .seconds(10),
    "How long to go on trying while no coordinator answers."
  ).shared(as: "client")
  static let tlsCA = Option(
    "tls-ca", optional: .string, as: "FILE", whenMissing: "the system's authorities", environment: "LIFELINE_TLS_CA",
    "With a wss:// address: the certificate of the authority that signed the coordinator's (PEM)."
  ).shared(as: "client")
  static let tlsCertificate = Option(
    "tls-certificate", optional: .string, as: "FILE", environment: "LIFELINE_TLS_CERTIFICATE",
    "A certificate of your own to show, if the coordinator asks for one (PEM)."
  ).shared(as: "client")
  static let tlsKey = Option(
    "tls-key", optional: .string, as: "FILE", environment: "LIFELINE_TLS_KEY", "Its private key (PEM)."
  ).shared(as: "client")
  static let security = OptionSection(
    "Security",
    [
      KeyOptions.key.shared(as: "client"), KeyOptions.file.shared(as: "client"), tlsCA, tlsCertificate, tlsKey,
    ])

  /// What a `wss` address is spoken to with; `nil` for a `ws` address.
  static func tls(_ invocation: Invocation, for address: String) throws -> TLSClientContext? {
    // All of a list are alike.
    guard address.lowercased().hasPrefix("wss:") else {
      // Whoever asks for TLS must not go without and believe otherwise.
      let options: [any DeclaredOption] = [tlsCA, tlsCertificate, tlsKey]
      guard let option = options.first(where: invocation.isGivenByWord) else { return nil }
      throw invocation.error("--\(option.definition.name) is for a wss:// address, and \(address) is none")
    }
    var configuration = TLSClientConfiguration()
    configuration.caFile = invocation[tlsCA]
    configuration.certificateChainFile = invocation[tlsCertificate]
    configuration.privateKeyFile = invocation[tlsKey]
    configuration.applicationProtocols = ["http/1.1"]
    return try TLSClientContext(configuration)
  }

  static let json = Option(flag: "json", "Print JSON, for programs.")

  static func address(_ invocation: Invocation) throws(UsageError) -> String {
    let list = invocation[coordinator].joined(separator: ",")
    do { _ = try CoordinatorAddresses(list) } catch { throw invocation.error("\(error)") }
    return list
  }
}

/// One command's conversation with a coordinator: this whole process from here to its end.
final class ClientSession {
  let loop: EventLoop
  let client: CoordinatorClient
  private let name: String
  private var status: Int32 = 0
  private(set) var isFinished = false
  private var isConnectionLost = false

  /// Connects, calls `body`, and serves the loop until somebody calls `finish`; returns the exit status.
  ///
  /// - Parameter patience: how long to go on without a coordinator; `nil`: for ever.
  static func run(
    _ invocation: Invocation, patience: Duration?, _ body: (ClientSession) throws -> Void
  ) throws(UsageError) -> Int32 {
    var settings = ClientSettings()
    settings.coordinator = try ClientOptions.address(invocation)
    settings.patience = patience
    settings.apiKey = try KeyOptions.key(invocation)
    do {
      settings.tls = try ClientOptions.tls(invocation, for: settings.coordinator)
      let session = try ClientSession(settings, name: invocation.path.joined(separator: " "))
      try body(session)
      session.loop.run()
      return session.status
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("\(invocation.path.joined(separator: " ")): \(error)")
      return 1
    }
  }

  private init(_ settings: ClientSettings, name: String) throws {
    loop = try EventLoop()
    client = try CoordinatorClient(settings, on: loop)
    self.name = name
  }

  /// Ends the program with this status, once what was sent has left.
  func finish(_ status: Int32) {
    guard !isFinished else { return }
    isFinished = true
    self.status = status
    Console.standard.show(live: "")
    client.close()
    loop.afterTurn { [loop] in loop.stop() }
  }

  /// Says what went wrong and ends the program with status 1.
  func fail(_ problem: some CustomStringConvertible) {
    guard !isFinished else { return }
    complain(problem)
    finish(1)
  }

  func complain(_ problem: some CustomStringConvertible) {
    Console.standard.complain("\(name): \(problem.description.escapedForDisplay)")
  }

  /// Says from now on when the connection is lost, and when it is back.
  func remarkOnConnection() { client.onConnectionChange = { [weak self] in self?.connectionChanged($0) } }

  private func connectionChanged(_ cause: String?) {
    if let cause {
      guard !isConnectionLost else { return }
      isConnectionLost = true
      Console.standard.remark("No connection to the coordinator; trying again (\(cause.escapedForDisplay))")
    } else if isConnectionLost {
      isConnectionLost = false
      Console.standard.remark("Connected to the coordinator again")
    }
  }

  /// Asks, and calls `body` with the reply; an error ends the program.
  func ask(_ type: MessageKind, _ fields: JSONObject = [:], _ body: @escaping (JSONObject) -> Void) {
    client.request(type, fields) { [weak self] result in
      switch result {
      case .success(let reply): body(reply)
      case .failure(let error): self?.fail(error)
      }
    }
  }

  /// Asks for all tasks that match, a page at a time, and calls `page` with each and `end` after the last.
  ///
  /// - Parameter limit: the most tasks wanted; `nil`: all.
  func list(
    _ filter: JSONObject, limit: Int? = nil, after: String? = nil, page: @escaping ([JSONObject]) -> Void,
    end: @escaping () -> Void
  ) {
    let count = min(limit ?? Self.tasksPerPage, Self.tasksPerPage)
    guard count > 0 else { return end() }
    var fields = filter
    fields["limit"] = .integer(Int64(count))
    if let after { fields["after"] = .string(after) }
    ask("list_tasks", fields) { [weak self] reply in
      let tasks = (reply["tasks"]?.array ?? []).compactMap(\.object)
      page(tasks)
      guard tasks.count == count, let last = tasks.last?["task_id"]?.string else { return end() }
      self?.list(filter, limit: limit.map { $0 - count }, after: last, page: page, end: end)
    }
  }

  /// A command may have 128 KiB, and a page must not fill the coordinator's memory with them.
  private static let tasksPerPage = 200
}
