/// A request to the API, as far as it is looked at.
struct APIRequest {
  var method = "GET"
  /// Still percent-encoded.
  var path: String
  var query: String?
  var contentType: String?
  var idempotencyKey: String?
  var body: [UInt8] = []

  init(_ method: String = "GET", _ path: String, query: String? = nil) {
    self.method = method
    self.path = path
    self.query = query
  }

  var isHead: Bool { method == "HEAD" }
}
