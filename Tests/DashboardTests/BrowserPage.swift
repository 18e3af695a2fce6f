import CoordinationCore
import Primitives
import TestSupport

/// One page in Chromium, as a person has it: looked at, typed into, resized.
final class BrowserPage {
  // Kept as long as its page is.
  private let browser: Chromium
  private let link: DevToolsLink
  private let session: String
  /// What it shows, which must not end before it.
  var fleet: DashboardFleet?

  init(_ browser: Chromium, _ link: DevToolsLink, session: String) {
    (self.browser, self.link, self.session) = (browser, link, session)
  }

  @discardableResult
  func call(_ method: String, _ parameters: JSONObject = [:]) throws -> JSONObject {
    try link.call(method, parameters, session: session)
  }

  func open(_ url: String) throws { try call("Page.navigate", ["url": .string(url)]) }

  func resize(_ width: Int, _ height: Int) throws {
    try call(
      "Emulation.setDeviceMetricsOverride",
      [
        "width": .integer(Int64(width)), "height": .integer(Int64(height)), "deviceScaleFactor": 1, "mobile": false,
      ])
  }

  func prefer(theme: String, reducedMotion: Bool = true) throws {
    try call(
      "Emulation.setEmulatedMedia",
      [
        "features": [
          ["name": "prefers-color-scheme", "value": .string(theme)],
          ["name": "prefers-reduced-motion", "value": reducedMotion ? "reduce" : "no-preference"],
        ]
      ])
  }

  // MARK: Looking

  /// The value of an expression, which may be a promise.
  func evaluate(_ expression: String) throws -> JSONValue {
    let result = try call(
      "Runtime.evaluate", ["expression": .string(expression), "awaitPromise": true, "returnByValue": true])
    if let problem = result["exceptionDetails"]?.object {
      let words = problem["exception"]?.object?["description"]?.string ?? problem["text"]?.string ?? "?"
      throw TimedOut("\(words)\n  in \(expression)")
    }
    return result["result"]?.object?["value"] ?? .null
  }

  func text(_ selector: String) throws -> String {
    try evaluate("document.querySelector(\(Self.quoted(selector)))?.innerText ?? ''").string ?? ""
  }

  /// Waits until an expression is true; its value. What throws meanwhile counts as not yet.
  @discardableResult
  func wait(for what: String, rounds: Int = 1, _ expression: String) throws -> JSONValue {
    // Within the bound of one call to Chromium; what may take longer is asked for again.
    let limit = 40_000
    let script = """
      new Promise(resolve => {
        const began = performance.now();
        (function look() {
          let value = null;
          try { value = (\(expression)); } catch (error) { value = null; }
          if (value) resolve(value);
          else if (performance.now() - began > \(limit)) resolve(null);
          else setTimeout(look, 40);
        })();
      })
      """
    var value = try evaluate(script)
    var round = 1
    while value == .null, round < rounds {
      value = try evaluate(script)
      round += 1
    }
    guard value != .null else {
      let body = try evaluate("document.body.innerText.slice(0, 4000)").string ?? ""
      throw TimedOut("no \(what) within \(limit * rounds) ms; the page says:\n\(body)\nproblems: \(problems)")
    }
    return value
  }

  /// What the page complained about: errors and warnings in its console, exceptions, refused resources.
  var problems: [String] {
    link.said.all.compactMap { event in
      guard event["sessionId"]?.string == session, let parameters = event["params"]?.object else { return nil }
      switch event["method"]?.string {
      case "Runtime.exceptionThrown":
        let details = parameters["exceptionDetails"]?.object
        return details?["exception"]?.object?["description"]?.string ?? details?["text"]?.string ?? "exception"
      case "Runtime.consoleAPICalled":
        let kind = parameters["type"]?.string ?? ""
        return ["error", "warning", "assert"].contains(kind) ? "console.\(kind): \(parameters["args"] ?? .null)" : nil
      case "Inspector.targetCrashed": return "the page has crashed"
      case "Log.entryAdded":
        let entry = parameters["entry"]?.object
        return "\(entry?["text"]?.string ?? "") \(entry?["url"]?.string ?? "")"
      default: return nil
      }
    }
  }

  /// A PNG of what is in sight.
  func picture() throws -> [UInt8] {
    let data = try call("Page.captureScreenshot", ["format": "png"])["data"]?.string ?? ""
    guard let bytes = Base64.decode(data) else { throw TimedOut("the screenshot is no base64") }
    return bytes
  }

  // MARK: Acting

  func click(_ selector: String) throws {
    try wait(for: selector, "document.querySelector(\(Self.quoted(selector)))")
    _ = try evaluate("document.querySelector(\(Self.quoted(selector))).click()")
  }

  func type(_ text: String) throws { try call("Input.insertText", ["text": .string(text)]) }

  /// Presses a key and lets it go.
  func press(_ key: Key, shift: Bool = false) throws {
    for type in ["keyDown", "keyUp"] {
      var event: JSONObject = [
        "type": .string(type), "key": .string(key.name), "code": .string(key.code),
        "windowsVirtualKeyCode": .integer(key.number), "modifiers": shift ? 8 : 0,
      ]
      if type == "keyDown", let text = key.text { event["text"] = .string(text) }
      try call("Input.dispatchKeyEvent", event)
    }
  }

  enum Key {
    case tab, enter, escape, down, end, slash

    var name: String {
      switch self {
      case .tab: "Tab"
      case .enter: "Enter"
      case .escape: "Escape"
      case .down: "ArrowDown"
      case .end: "End"
      case .slash: "/"
      }
    }

    var code: String { self == .slash ? "Slash" : name }

    var number: Int64 {
      switch self {
      case .tab: 9
      case .enter: 13
      case .escape: 27
      case .down: 40
      case .end: 35
      case .slash: 191
      }
    }

    var text: String? {
      switch self {
      case .enter: "\r"
      case .slash: "/"
      default: nil
      }
    }
  }

  /// Text as a literal of JavaScript: JSON's is one.
  static func quoted(_ text: String) -> String {
    var bytes: [UInt8] = []
    let object: JSONObject = ["": .string(text)]
    object.write(into: &bytes)
    return String(decoding: bytes.dropFirst(4).dropLast(), as: UTF8.self)
  }
}
