import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing
import WebSocket
import WebSocketCore

/// A headless Chromium with a profile of its own, driven by its remote debugging protocol; gone when the object goes.
final class Chromium {
  /// Where it is; `nil` where it is not installed.
  static let program = ["chromium", "chromium-browser", "google-chrome"].lazy.compactMap(TestProcess.find).first

  static let howToInstall: Comment = "Chromium is not installed; make deps-chromium installs it on Debian and Ubuntu"

  /// On a busy machine a frame may take its time.
  static let patience: Duration = .seconds(60)

  private let profile = TemporaryDirectory()
  private let process: TestProcess
  private let link: DevToolsLink

  init() throws {
    guard let program = Self.program else { throw TimedOut("\(Self.howToInstall)") }
    process = try TestProcess(
      program,
      [
        // Chromium's own sandbox refuses to work for root, as in a container; the page is our own.
        "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
        "--user-data-dir=\(profile.path)", "--no-first-run", "--hide-scrollbars", "--disable-breakpad",

        "--disable-background-networking", "--disable-dev-shm-usage", "--font-render-hinting=none", "about:blank",
      ],
      environment: [
        "HOME": profile.path, "XDG_CONFIG_HOME": profile.path, "XDG_CACHE_HOME": profile.path,
        "TMPDIR": profile.path,
      ])
    let line = try process.errors.first("address of the DevTools", limit: Self.patience) {
      $0.hasPrefix("DevTools listening on ws://")
    }
    link = try DevToolsLink(String(line.dropFirst("DevTools listening on ".count)))
  }

  deinit {
    // In order, for what it started would outlive a killed one for a moment, in a profile that is being removed.
    _ = try? link.call("Browser.close", [:], session: nil)
    link.close()
    if (try? process.exit(limit: .seconds(20))) == nil { process.signal(SIGKILL) }
  }

  /// A new page, in a window of its own that shares nothing with others.
  func page(width: Int = 1_280, height: Int = 900) throws -> BrowserPage {
    let context = try link.call("Target.createBrowserContext", [:], session: nil)
    let target = try link.call(
      "Target.createTarget",
      ["url": "about:blank", "browserContextId": context["browserContextId"] ?? .null], session: nil)
    let session = try link.call(
      "Target.attachToTarget", ["targetId": target["targetId"] ?? .null, "flatten": true], session: nil)
    let page = BrowserPage(self, link, session: session["sessionId"]?.string ?? "")
    for domain in ["Page", "Runtime", "Log", "Accessibility"] { try page.call("\(domain).enable") }
    try page.resize(width, height)
    return page
  }
}

/// Requests to Chromium and what it says, over our own WebSocket client.
final class DevToolsLink: Sendable {
  /// Answers by their numbers, and events.
  let said: EventLog<JSONObject>
  private let thread: EventLoopThread
  private let socket: LoopBound<WebSocketConnection>
  private let numbers = EventLog<Bool>("requests to Chromium")

  private final class Listener: WebSocketDelegate {
    let said: EventLog<JSONObject>

    init(_ said: EventLog<JSONObject>) { self.said = said }

    func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocketCore.MessageKind) {
      let bytes = message.withUnsafeBytes { Array($0) }
      guard let object = (try? JSONParser.parse(bytes, validated: true))?.object else { return }
      said.put(object)
    }

    func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
  }

  init(_ url: String) throws {
    let address = try WebSocketURL(url)
    let said = EventLog<JSONObject>("Chromium")
    self.said = said
    let made = EventLog<Result<LoopBound<WebSocketConnection>, WebSocketError>>("connection to Chromium")
    thread = try EventLoopThread(name: "devtools") { loop in
      var configuration = WebSocketConfiguration()
      // A screenshot is one message.
      configuration.maxFrameBytes = 64 << 20
      configuration.maxMessageBytes = 64 << 20
      configuration.handshakeTimeout = .seconds(30)
      WebSocketClient.connect(
        to: address, on: loop, configuration: configuration, delegate: Listener(said)
      ) { result in made.put(result.map { LoopBound($0, to: loop) }) }
    }
    socket = try made.wait(for: "connection", limit: Chromium.patience) { $0.first }.get()
  }

  func close() {
    let socket = socket
    thread.mailbox.post { socket.value.abort() }
    thread.stop()
    thread.join()
  }

  func call(_ method: String, _ parameters: JSONObject, session: String?) throws -> JSONObject {
    numbers.put(true)
    // Calls come from one thread, the test's.
    let number = Int64(numbers.count)
    var request: JSONObject = ["id": .integer(number), "method": .string(method), "params": .object(parameters)]
    if let session { request["sessionId"] = .string(session) }
    var bytes: [UInt8] = []
    request.write(into: &bytes)
    let (socket, message) = (socket, bytes)
    thread.mailbox.post { socket.value.send(text: message) }
    let answer = try said.first("answer to \(method)", limit: Chromium.patience) { $0["id"]?.integer == number }
    guard let result = answer["result"]?.object else {
      throw TimedOut("\(method): \(answer["error"]?.object?["message"]?.string ?? "no result")")
    }
    return result
  }
}
