import Cryptography
import Primitives
import WebSocketCore

/// The page at `/dashboard`. It holds no data, so that it needs no key: it asks the API for everything, with the key that
/// it is given.
enum Dashboard {
  static let path = "/dashboard"

  static let response = HTTPResponse(
    headers: [
      "Content-Security-Policy": contentSecurityPolicy, "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
      // A newer coordinator has a newer page.
      "Cache-Control": "no-cache",
    ],
    contentType: "text/html; charset=utf-8", body: Array(page.utf8))

  /// To the page, from where people begin who know the address only. Relative: a proxy may have added a prefix.
  static let redirection = HTTPResponse(
    status: 302, headers: ["Location": "dashboard"], contentType: "text/plain; charset=utf-8",
    body: Array("see dashboard\n".utf8))

  /// `dashboard.html` with style and script in their places; a part without one would be left out, which tests notice.
  static let page: String = {
    let parts = text(PackageResources.dashboard_html).split(separator: "/*STYLE*/", maxSplits: 1)
    let rest = (parts.last ?? "").split(separator: "/*SCRIPT*/", maxSplits: 1)
    return "\(parts.first ?? "")\(style)\(rest.first ?? "")\(script)\(rest.last ?? "")"
  }()

  private static let style = text(PackageResources.dashboard_css)

  /// One script, in the order in which its parts need each other.
  private static let script: String = {
    let parts = [
      PackageResources.basics_js, PackageResources.model_js, PackageResources.connection_js, PackageResources.plots_js,
      PackageResources.list_js, PackageResources.words_js, PackageResources.workers_js, PackageResources.tasks_js,
      PackageResources.detail_js, PackageResources.page_js,
    ]
    return "\"use strict\";\n(() => {\n\(parts.map(text).joined())})();\n"
  }()

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  /// This style and this script and no other; requests to this coordinator only. Text cannot become markup even by a
  /// mistake of the script's: trusted types refuse every way there is.
  private static let contentSecurityPolicy = [
    "default-src 'none'", "style-src \(source(style))", "script-src \(source(script))",
    "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    "require-trusted-types-for 'script'", "trusted-types 'none'",
  ].joined(separator: "; ")

  private static func source(_ text: String) -> String {
    "'sha256-\(Base64.encode(SHA256.digest(of: text).bytes))'"
  }
}
